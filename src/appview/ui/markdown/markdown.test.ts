import { expect, test, vi } from 'vitest'

import { Markdown } from './markdown.ts'

const imagePath = (url: string) => `/image?${new URLSearchParams({ url, key: 'k' }).toString()}`
const markdown = (options = {}) =>
  new Markdown({ imagePath, images: 'proxy', patienceMs: 60_000, now: () => new Date(), ...options })

test('a text is rendered in another thread, its pictures by way of ours', async () => {
  const html = String(await markdown().render('# Hi\n\n![x](https://e.example/a.png?b=1&c="2")'))
  expect(html).toContain('<h3 id="readme-hi">Hi</h3>')
  expect(html).toContain(
    'src="/image?url=https%3A%2F%2Fe.example%2Fa.png%3Fb%3D1%26c%3D%25222%2522&amp;key=k"',
  )
})

test('a text that takes too long is shown as it was typed, and the next one is rendered', async () => {
  const rendering = markdown({ deadlineMs: 0 })
  expect(String(await rendering.render('# <b>slow</b>'))).toBe(
    '<pre class="plain-text" tabindex="0"># &lt;b&gt;slow&lt;/b&gt;</pre>',
  )
  const patient = markdown()
  const nested = '> '.repeat(40_000)
  expect(String(await patient.render(nested))).toContain('<')
  expect(String(await patient.render('*next*'))).toContain('<em>next</em>')
})

test('a text that failed is tried again after a while', async () => {
  let nowMs = Date.UTC(2026, 10, 23)
  const rendering = markdown({ deadlineMs: 0, now: () => new Date(nowMs) })
  const starts = vi.spyOn(AbortSignal, 'timeout')
  await rendering.render('*again*')
  const startCount = starts.mock.calls.length
  expect(startCount).toBeGreaterThan(0)
  await rendering.render('*again*')
  expect(starts).toHaveBeenCalledTimes(startCount)
  nowMs += 11 * 60_000
  await rendering.render('*again*')
  expect(starts.mock.calls.length).toBeGreaterThan(startCount)
  starts.mockRestore()
})

test('beyond 100,000 bytes nothing is read', async () => {
  const html = String(await markdown().render(`${'word '.repeat(20_000)}the end`))
  expect(html).not.toContain('the end')
  expect(html.length).toBeGreaterThan(99_000)
})
