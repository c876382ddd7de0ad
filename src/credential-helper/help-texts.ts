export type VerbName =
  | 'login'
  | 'logout'
  | 'status'
  | 'switch'
  | 'configure-docker'
  | 'update'
  | 'version'
  | 'help'

export interface VerbHelp {
  summary: string
  description: string
  operand?: string
  options: readonly { name: string; value?: string; text: string }[]
  examples: readonly [command: string, what: string][]
}

const program = 'docker-credential-atcr'

/** What each verb says of itself. */
export const verbHelps: Record<VerbName, VerbHelp> = {
  login: {
    summary: 'sign this machine in to a registry',
    description:
      'Shows a code, opens the registry in your browser and waits until you have approved this machine there. Then docker is\n' +
      'told to ask this program for the registry, unless it was told otherwise before. Further accounts are added by signing\n' +
      'in again; the last one is the active one.',
    operand: 'registry',
    options: [
      { name: 'no-browser', text: 'only print the address; open it on any device' },
      { name: 'name', value: 'name', text: 'what you will know this machine by; its host name unless told' },
      { name: 'no-configure', text: "leave docker's settings as they are" },
    ],
    examples: [
      [`${program} login registry.example`, 'sign in'],
      [`${program} login --no-browser registry.example`, 'on a machine without a screen'],
    ],
  },
  logout: {
    summary: 'forget an account on this machine',
    description:
      'Removes the account and its secret from this machine. So that the secret is worth nothing to whoever may have copied\n' +
      'it, revoke the machine in the settings of the registry too.',
    operand: 'registry',
    options: [
      { name: 'handle', value: 'handle', text: 'which account, where there are several' },
      { name: 'all', text: 'all accounts of the registry' },
    ],
    examples: [
      [`${program} logout registry.example`, 'the one account'],
      [`${program} logout registry.example --handle alice.example`, 'one of several'],
    ],
  },
  status: {
    summary: 'show accounts, where their secrets are and whether they work',
    description:
      'Lists every registry with its accounts; * marks the active one. Each registry is asked whether it still takes them.\n' +
      'The exit code is 1 when one is refused, or cannot be asked.',
    options: [{ name: 'offline', text: 'ask no registry' }],
    examples: [[`${program} status`, 'who am I, and does it work?']],
  },
  switch: {
    summary: 'make another account the active one',
    description:
      'The active account is used where the image does not say whose it is. Without a handle: the other one, of two.',
    operand: 'handle',
    options: [{ name: 'registry', value: 'registry', text: 'which registry, where there are several' }],
    examples: [
      [`${program} switch alice.example`, 'use alice.example from now on'],
      [`${program} switch`, 'the other one of two'],
    ],
  },
  'configure-docker': {
    summary: 'make docker ask this program for a registry',
    description:
      'Adds the registry to credHelpers in ~/.docker/config.json (or in DOCKER_CONFIG), and leaves the rest of it as it is.\n' +
      'nerdctl reads the same file; podman, buildah and skopeo read it last, and it is said here what may come before.',
    operand: 'registry',
    options: [],
    examples: [[`${program} configure-docker registry.example`, 'docker push finds your account']],
  },
  update: {
    summary: 'replace this program by the one the registry offers',
    description:
      'Compares checksums, downloads what is new, verifies it, starts it once, and puts it in place of this one in one step.',
    operand: 'registry',
    options: [{ name: 'check', text: 'only say whether there is another one; exit code 1 if so' }],
    examples: [[`${program} update`, 'from the registry you are signed in to']],
  },
  version: {
    summary: 'print the version',
    description: 'Prints the name and the version of this program.',
    options: [],
    examples: [[`${program} version`, 'for a bug report']],
  },
  help: {
    summary: 'show this, or the help of a verb',
    description: 'Without a verb: the overview.',
    operand: 'verb',
    options: [],
    examples: [[`${program} help login`, 'the same as login --help']],
  },
}

/** The overview. */
export function formatOverview(): string {
  const names = Object.entries(verbHelps).map(([name, { summary }]) => `  ${name.padEnd(18)}${summary}`)
  return `${program}: your account at ATCR registries, for docker, podman, buildah, skopeo and nerdctl.

Begin with:
  ${program} login registry.example
  docker push registry.example/alice.example/app

Commands (each has a --help of its own):
${names.join('\n')}

Called by clients, which read and write JSON (get, store, erase, list). Of several accounts, get gives the one whose
image is pushed or pulled, where the command line tells; else the active one.

Environment:
  ATCR_ACCOUNT      use this account, whatever the image
  ATCR_CONFIG_DIR   keep accounts here; ~/.atcr unless told
  ATCR_KEYRING      off: keep secrets in a file only you can read; pass, secretservice, …: in docker-credential-<that>.
                    Unless told: in the keyring of the system, where it works
  DOCKER_CONFIG     the folder of docker's config.json; ~/.docker unless told

Exit codes: 0 done · 1 failed, standard error says why · 2 the command line was not understood`
}

/** The help of one verb. */
export function formatHelp(verb: VerbName): string {
  const { description, operand, options, examples } = verbHelps[verb]
  const usage = [
    program,
    verb,
    ...(options.length > 0 ? ['[options]'] : []),
    ...(operand ? [`[${operand}]`] : []),
  ]
  const lines = options.map(
    ({ name, value, text }) => `  ${`--${name}${value ? ` <${value}>` : ''}`.padEnd(22)}${text}`,
  )
  const optionText = lines.length === 0 ? '' : `\nOptions:\n${lines.join('\n')}\n`
  const exampleText = examples.map(([command, what]) => `  ${command}\n      ${what}`).join('\n')
  return `Usage: ${usage.join(' ')}\n\n${description}\n${optionText}\nExamples:\n${exampleText}`
}
