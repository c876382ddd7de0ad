import fc from 'fast-check'
import { expect, test } from 'vitest'

import { describeUserAgent } from './user-agent.ts'

const mozilla = (system: string, rest: string) => `Mozilla/5.0 (${system}) ${rest}`
const webKit = 'AppleWebKit/537.36 (KHTML, like Gecko)'

test.each([
  ['Firefox on Linux', mozilla('X11; Linux x86_64; rv:140.0', 'Gecko/20100101 Firefox/140.0')],
  ['Firefox on Windows', mozilla('Windows NT 10.0; Win64; x64; rv:140.0', 'Gecko/20100101 Firefox/140.0')],
  ['Firefox on iPhone', mozilla('iPhone; CPU iPhone OS 18_0 like Mac OS X', 'AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15')], // prettier-ignore
  ['Chrome on macOS', mozilla('Macintosh; Intel Mac OS X 10_15_7', `${webKit} Chrome/143.0.0.0 Safari/537.36`)], // prettier-ignore
  ['Chrome on Android', mozilla('Linux; Android 10; K', `${webKit} Chrome/143.0.0.0 Mobile Safari/537.36`)],
  ['Chrome on ChromeOS', mozilla('X11; CrOS x86_64 14541.0.0', `${webKit} Chrome/143.0.0.0 Safari/537.36`)],
  ['Chrome on Linux', mozilla('X11; Linux x86_64', `${webKit} HeadlessChrome/143.0.0.0 Safari/537.36`)],
  ['Edge on Windows', mozilla('Windows NT 10.0; Win64; x64', `${webKit} Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0`)], // prettier-ignore
  ['Opera on Windows', mozilla('Windows NT 10.0', `${webKit} Chrome/143.0.0.0 Safari/537.36 OPR/120.0`)],
  ['Samsung Internet on Android', mozilla('Linux; Android 10; K', `${webKit} SamsungBrowser/27.0 Chrome/125.0 Mobile Safari/537.36`)], // prettier-ignore
  ['Safari on macOS', mozilla('Macintosh; Intel Mac OS X 10_15_7', 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15')], // prettier-ignore
  ['Safari on iPad', mozilla('iPad; CPU OS 17_0 like Mac OS X', 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1')], // prettier-ignore
  ['curl', 'curl/8.5.0'],
  ['Wget on Linux', 'Wget/1.21.4 (linux-gnu)'],
  ['an unknown browser on Linux', 'Mozilla/5.0 (X11; Linux x86_64)'],
  ['an unknown browser', ''],
  ['an unknown browser', '<script>alert(1)</script>'],
  ['an unknown browser', '\u202e\u0007'],
])('%s', (words, userAgent) => {
  expect(describeUserAgent(userAgent)).toBe(words)
})

test('whatever is sent, the words are few and plain', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
      expect(describeUserAgent(text)).toMatch(/^[\w.… -]{1,80}$/)
    }),
  )
})
