import { describe, expect, test } from 'vitest'

import { parseRegistry } from './server-url.ts'

describe('parseRegistry', () => {
  test.each([
    ['registry.example', 'registry.example', 'https://registry.example'],
    ['Registry.Example:8443', 'registry.example:8443', 'https://registry.example:8443'],
    ['https://registry.example', 'registry.example', 'https://registry.example'],
    ['https://registry.example/v1/', 'registry.example', 'https://registry.example'],
    ['https://registry.example:443/v2/', 'registry.example', 'https://registry.example'],
    ['http://registry.example', 'registry.example', 'http://registry.example'],
    ['localhost:5000', 'localhost:5000', 'http://localhost:5000'],
    ['127.0.0.1:5000', '127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['https://127.0.0.1:5000', '127.0.0.1:5000', 'https://127.0.0.1:5000'],
    ['[::1]:5000', '[::1]:5000', 'http://[::1]:5000'],
    ['  registry.example\n', 'registry.example', 'https://registry.example'],
  ])('%j is %s at %s', (text, host, origin) => {
    expect(parseRegistry(text)).toEqual({ host, origin })
  })

  test.each([
    ['nothing', ''],
    ['no host', 'https://'],
    ['another scheme', 'ftp://registry.example'],
    ['a script', 'javascript:alert(1)//://x'],
    ['a name and a password', 'https://alice:secret@registry.example'],
    ['a line break within', 'registry.example\nother.example'],
    ['a space', 'registry example'],
    ['a control character', 'registry\u0000.example'],
    ['a backslash', 'https:\\\\registry.example'],
    ['a port that is none', 'registry.example:99999'],
    ['far too much', 'a'.repeat(600)],
  ])('%s is none', (_, text) => {
    expect(parseRegistry(text)).toBeUndefined()
  })
})
