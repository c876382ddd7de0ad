import type { RegistryAddress } from './pull-commands.ts'

/** Lines to paste, and whose they are. */
export interface LoginCommand {
  client: string
  text: string
}

/** How clients sign in with an app password: by hand, and where nobody is there to type. */
export function loginCommands({ host, isPlainHttp }: RegistryAddress, user: string): LoginCommand[] {
  const plain = isPlainHttp ? '--tls-verify=false ' : ''
  return [
    { client: 'docker', text: `docker login ${host} -u ${user}` },
    { client: 'podman', text: `podman login ${plain}${host} -u ${user}` },
    { client: 'skopeo', text: `skopeo login ${plain}${host} -u ${user}` },
    {
      client: 'A script',
      text: `printenv ATCR_APP_PASSWORD | docker login ${host} -u ${user} --password-stdin`,
    },
    {
      client: 'GitHub Actions',
      text: [
        '- uses: docker/login-action@v3',
        '  with:',
        `    registry: ${host}`,
        `    username: ${user}`,
        '    password: ${{ secrets.ATCR_APP_PASSWORD }}',
      ].join('\n'),
    },
  ]
}
