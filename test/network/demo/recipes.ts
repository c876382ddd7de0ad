/** One line of a build: what was run, and the layer it left, if it left one. */
export interface BuildStep {
  createdBy: string
  layer?: { file: string; kilobytes: number; seed: string }
  config?: Record<string, unknown>
  env?: string[]
}

interface BuildOf {
  repository: string
  version: string
  platform: string
}

type Recipe = (build: BuildOf) => BuildStep[]

export type RecipeName = 'base' | 'go' | 'rust' | 'node' | 'python' | 'static' | 'shell'

const nameOf = ({ repository }: BuildOf) => repository.split('/').at(-1) ?? repository
const own = ({ platform, repository, version }: BuildOf) => `${repository} ${version} ${platform}`
const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What every image here begins with, so that layers are shared. */
export function baseStepsOf({ platform }: BuildOf): BuildStep[] {
  const seed = `base ${platform}`
  return [
    { createdBy: 'ADD rootfs.tar.gz / # buildkit', layer: { file: 'usr/lib/base.bin', kilobytes: 580, seed }, env: [path] },
    { createdBy: 'COPY ca-certificates.crt /etc/ssl/certs/ # buildkit', layer: { file: 'etc/ssl/certs/ca-certificates.crt', kilobytes: 214, seed: 'certificates' } },
    { createdBy: 'CMD ["/bin/sh"]', config: { Cmd: ['/bin/sh'] } },
  ] // prettier-ignore
}

/** How the programs of the demo are built. A layer with a seed of its own version changes with every push. */
export const recipes: Record<RecipeName, Recipe> = {
  base: (build) => [
    { createdBy: 'COPY /out/licences /usr/share/licences # buildkit', layer: { file: 'usr/share/licences/all.txt', kilobytes: 18, seed: own(build) } },
    { createdBy: 'ENV LANG=C.UTF-8', env: ['LANG=C.UTF-8'] },
  ],
  go: (build) => [
    { createdBy: `COPY /src/${nameOf(build)} /usr/local/bin/${nameOf(build)} # buildkit`, layer: { file: `usr/local/bin/${nameOf(build)}`, kilobytes: 390, seed: own(build) } },
    { createdBy: 'USER 65532:65532', config: { User: '65532:65532' } },
    { createdBy: 'EXPOSE map[8080/tcp:{}]', config: { ExposedPorts: { '8080/tcp': {} } } },
    { createdBy: `ENTRYPOINT ["/usr/local/bin/${nameOf(build)}"]`, config: { Entrypoint: [`/usr/local/bin/${nameOf(build)}`], Cmd: null } },
  ],
  rust: (build) => [
    { createdBy: 'RUN /bin/sh -c apk add --no-cache libgcc # buildkit', layer: { file: 'usr/lib/libgcc_s.so.1', kilobytes: 96, seed: build.platform } },
    { createdBy: `COPY /build/target/release/${nameOf(build)} /usr/bin/${nameOf(build)} # buildkit`, layer: { file: `usr/bin/${nameOf(build)}`, kilobytes: 310, seed: own(build) } },
    { createdBy: 'ENV RUST_LOG=info', env: ['RUST_LOG=info'] },
    { createdBy: 'USER nobody', config: { User: 'nobody' } },
    { createdBy: `ENTRYPOINT ["/usr/bin/${nameOf(build)}"]`, config: { Entrypoint: [`/usr/bin/${nameOf(build)}`], Cmd: null } },
  ],
  node: (build) => [
    { createdBy: 'RUN /bin/sh -c apk add --no-cache nodejs npm # buildkit', layer: { file: 'usr/bin/node', kilobytes: 720, seed: `node ${build.platform}` }, env: ['NODE_ENV=production'] },
    { createdBy: 'WORKDIR /app', config: { WorkingDir: '/app' } },
    { createdBy: 'COPY package.json package-lock.json ./ # buildkit', layer: { file: 'app/package-lock.json', kilobytes: 24, seed: build.repository } },
    { createdBy: 'RUN /bin/sh -c npm ci --omit=dev && npm cache clean --force # buildkit', layer: { file: 'app/node_modules/.package-lock.json', kilobytes: 260, seed: build.repository } },
    { createdBy: 'COPY . . # buildkit', layer: { file: 'app/server.js', kilobytes: 42, seed: own(build) } },
    { createdBy: 'EXPOSE map[3000/tcp:{}]', config: { ExposedPorts: { '3000/tcp': {} } } },
    { createdBy: 'HEALTHCHECK &{["CMD-SHELL" "wget -qO- localhost:3000/healthz || exit 1"] "30s" "3s" "0s" "0s" \'\\x03\'}', config: { Healthcheck: { Test: ['CMD-SHELL', 'wget -qO- localhost:3000/healthz || exit 1'], Interval: 30_000_000_000, Timeout: 3_000_000_000 } } },
    { createdBy: 'CMD ["node" "server.js"]', config: { Cmd: ['node', 'server.js'] } },
  ],
  python: (build) => [
    { createdBy: 'RUN /bin/sh -c apk add --no-cache python3 py3-pip # buildkit', layer: { file: 'usr/bin/python3', kilobytes: 640, seed: `python ${build.platform}` }, env: ['PYTHONUNBUFFERED=1'] },
    { createdBy: 'WORKDIR /srv', config: { WorkingDir: '/srv' } },
    { createdBy: 'COPY requirements.txt . # buildkit', layer: { file: 'srv/requirements.txt', kilobytes: 2, seed: build.repository } },
    { createdBy: 'RUN /bin/sh -c pip install --no-cache-dir -r requirements.txt # buildkit', layer: { file: 'usr/lib/python3/site-packages/all.bin', kilobytes: 450, seed: build.repository } },
    { createdBy: 'COPY src/ ./ # buildkit', layer: { file: 'srv/main.py', kilobytes: 38, seed: own(build) } },
    { createdBy: 'VOLUME [/data]', config: { Volumes: { '/data': {} } } },
    { createdBy: 'CMD ["python3" "-m" "main"]', config: { Cmd: ['python3', '-m', 'main'] } },
  ],
  static: (build) => [
    { createdBy: 'COPY --from=build /site /srv/http # buildkit', layer: { file: 'srv/http/index.html', kilobytes: 120, seed: own(build) } },
    { createdBy: 'EXPOSE map[80/tcp:{}]', config: { ExposedPorts: { '80/tcp': {} } } },
    { createdBy: 'CMD ["httpd" "-f" "-h" "/srv/http"]', config: { Cmd: ['httpd', '-f', '-h', '/srv/http'] } },
  ],
  shell: (build) => [
    { createdBy: `COPY --chmod=755 ${nameOf(build)}.sh /usr/local/bin/ # buildkit`, layer: { file: `usr/local/bin/${nameOf(build)}.sh`, kilobytes: 9, seed: own(build) } },
    { createdBy: `ENTRYPOINT ["${nameOf(build)}.sh"]`, config: { Entrypoint: [`${nameOf(build)}.sh`], Cmd: ['--help'] } },
  ],
} // prettier-ignore
