import { existsSync } from 'node:fs'

/** A program as it is released: a bundle, and a container image. */
export interface ReleasedProgram {
  /** Of the command, the folder of the bundle and the image. */
  name: string
  title: string
  description: string
  /** The source to begin with. */
  main: string
  /** Folders of files that the sources read when they run. */
  assets: readonly string[]
  /** Files of packages that the sources look up by name when they run. */
  packageFiles: readonly string[]
  /** Where it listens unless told. */
  port: number
}

const pages = ['src/http/assets', 'src/appview/ui/assets', 'src/appview/ui/install']
const holdPages = ['src/http/assets', 'src/hold/web/assets']
const pictures = [
  '@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf',
  '@expo-google-fonts/inter/700Bold/Inter_700Bold.ttf',
  '@resvg/resvg-wasm/index_bg.wasm',
]
const highlighting = ['highlight.js/lib/core.js', 'highlight.js/lib/languages']

const programs: readonly ReleasedProgram[] = [
  {
    name: 'atcr-appview',
    title: 'ATCR AppView',
    description: 'The front of an ATCR registry: OCI Distribution API, index and pages',
    main: 'src/appview/main.ts',
    assets: pages,
    packageFiles: [...pictures, ...highlighting],
    port: 5000,
  },
  {
    name: 'atcr-hold',
    title: 'ATCR hold',
    description: 'The storage service of an ATCR registry, on a disk or in S3',
    main: 'src/hold/main.ts',
    assets: holdPages,
    packageFiles: [],
    port: 8080,
  },
  {
    name: 'atcr',
    title: 'ATCR',
    description: 'A container registry on the AT Protocol: AppView and hold in one process',
    main: 'src/all-in-one/main.ts',
    assets: [...pages, ...holdPages],
    packageFiles: [...pictures, ...highlighting],
    port: 5000,
  },
]

/** What `npm run build` and `npm run images` make. */
export const releasedPrograms = programs.filter(({ main }) => existsSync(main))

/** All, or those that were named. @throws Error for a name that none has */
export function choosePrograms(names: readonly string[]): readonly ReleasedProgram[] {
  const unknown = names.find((name) => !releasedPrograms.some((it) => it.name === name))
  if (unknown !== undefined) {
    const known = releasedPrograms.map(({ name }) => name).join(', ')
    throw new Error(`there is no program ${unknown} to build; there are ${known}`)
  }
  return names.length === 0 ? releasedPrograms : releasedPrograms.filter(({ name }) => names.includes(name))
}
