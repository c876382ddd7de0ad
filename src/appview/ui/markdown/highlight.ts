import { createRequire } from 'node:module'

/** Beyond, code is shown as it is: colours are not worth the time. */
const codeLengthMax = 20_000

/** Languages of READMEs, each loaded when it is first met. */
const languageNames: ReadonlySet<string> = new Set(
  (
    'bash c cpp csharp css diff dockerfile go http ini java javascript json kotlin lua makefile nginx php ' +
    'powershell python ruby rust shell sql swift typescript xml yaml'
  ).split(' '),
)
const aliases: ReadonlyMap<string, string> = new Map([
  ['console', 'shell'],
  ['sh', 'bash'],
  ['zsh', 'bash'],
  ['js', 'javascript'],
  ['mjs', 'javascript'],
  ['ts', 'typescript'],
  ['docker', 'dockerfile'],
  ['golang', 'go'],
  ['html', 'xml'],
  ['cs', 'csharp'],
  ['c++', 'cpp'],
  ['make', 'makefile'],
  ['patch', 'diff'],
  ['ps1', 'powershell'],
  ['py', 'python'],
  ['rb', 'ruby'],
  ['rs', 'rust'],
  ['toml', 'ini'],
  ['yml', 'yaml'],
])

/** Marks up code by classes `hljs-…`; gives undefined where it knows no such language. */
export type Highlight = (code: string, language: string | undefined) => string | undefined

/** What we use of highlight.js; its own types want those of a browser, which nothing else here has. */
interface Core {
  getLanguage(name: string): object | undefined
  registerLanguage(name: string, language: (core: Core) => object): void
  highlight(code: string, options: { language: string; ignoreIllegals: boolean }): { value: string }
}

const require = createRequire(import.meta.url)

/** Loads what is needed for some languages, by whatever name they were given. */
export function loadHighlight(languages: Iterable<string>): Highlight {
  const wanted = [...new Set(languages)].flatMap((name) => nameOf(name) ?? [])
  if (wanted.length === 0) return () => undefined
  const core = require('highlight.js/lib/core') as Core
  for (const name of wanted) {
    if (core.getLanguage(name) !== undefined) continue
    const language = require(`highlight.js/lib/languages/${name}`) as (core: Core) => object
    core.registerLanguage(name, language)
  }
  return (code, language) => {
    const name = language === undefined ? undefined : nameOf(language)
    if (name === undefined || code.length > codeLengthMax || core.getLanguage(name) === undefined)
      return undefined
    return core.highlight(code, { language: name, ignoreIllegals: true }).value
  }
}

function nameOf(language: string): string | undefined {
  const name = language.toLowerCase()
  const found = aliases.get(name) ?? name
  return languageNames.has(found) ? found : undefined
}
