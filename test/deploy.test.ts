import { globSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { appViewSettings } from '../src/appview/config.ts'
import { holdSettings } from '../src/hold/config.ts'
import { describeSettings, loadSettings } from '../src/lib/config.ts'
import { environmentOf, interpolate, readCompose, readEnvTemplate, variablesIn } from './network/compose.ts'

/** Goal: what stands in deploy/ says what it means. Method: compose files and `.env` template are held against the settings. */
const templateFile = 'deploy/.env.prod.template'
const template = readEnvTemplate(templateFile)
const filledIn = {
  ...template,
  APPVIEW_DOMAIN: 'registry.example',
  HOLD_DOMAIN: 'hold.example',
  HOLD_OWNER: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz',
  POSTGRES_PASSWORD: 'secret',
  S3_BUCKET: 'blobs',
}
const programs = { appview: appViewSettings, hold: holdSettings } as const

const composeFiles = globSync('deploy/docker-compose.*.yml').toSorted()

test('there is what this is about', () => {
  expect(composeFiles).toContain('deploy/docker-compose.prod.yml')
  expect(Object.keys(template)).toContain('APPVIEW_DOMAIN')
})

describe.each(composeFiles)('%s', (path) => {
  const { services, volumes = {} } = readCompose(path)
  const running = (name: keyof typeof programs) =>
    Object.entries(services).filter(([, { image }]) => image?.startsWith(`atcr-${name}:`))

  test('there are AppViews and a hold', () => {
    expect(running('appview').length).toBeGreaterThan(0)
    expect(running('hold').map(([name]) => name)).toEqual(['hold'])
  })

  test.each(['appview', 'hold'] as const)(
    'the environment of %s is one of settings that are taken',
    (name) => {
      const known = new Set(describeSettings(programs[name]).map((it) => it.environment))
      const declaration = programs[name] as typeof holdSettings
      for (const [, service] of running(name)) {
        const environment = environmentOf(service, filledIn)
        expect(Object.keys(environment).filter((it) => !known.has(it))).toEqual([])
        expect(Object.keys(environment).length).toBeGreaterThan(4)
        expect(loadSettings(declaration, { environment }).notices).toEqual([])
      }
    },
  )

  test('Caddy asks every AppView', () => {
    const { APPVIEW_UPSTREAMS: upstreams = 'appview:5000' } = environmentOf(services['caddy'], filledIn)
    expect(upstreams.split(' ')).toEqual(running('appview').map(([name]) => `${name}:5000`))
  })

  test('without the three variables that must be set nothing starts', () => {
    for (const name of ['APPVIEW_DOMAIN', 'HOLD_DOMAIN', 'HOLD_OWNER']) {
      const all = JSON.stringify(services)
      expect(() => interpolate(all, { ...filledIn, [name]: '' }), name).toThrow(name)
    }
  })

  test('only Caddy is reached from outside', () => {
    const published = Object.entries(services).filter(([, { ports }]) => ports !== undefined)
    expect(published.map(([name]) => name)).toEqual(['caddy'])
    expect(published[0]?.[1].ports).toEqual(['80:80', '443:443', '443:443/udp'])
  })

  test.each(Object.entries(services))('%s is kept small and comes back', (name, service) => {
    expect(service.restart).toBe('unless-stopped')
    expect(service.healthcheck?.test.length).toBeGreaterThan(1)
    expect(service.logging?.options).toHaveProperty('max-size')
    expect(service.stop_grace_period).toBeDefined()
    if (name === 'caddy' || service.image?.startsWith('atcr-')) {
      expect(service.read_only).toBe(true)
      expect(service.cap_drop).toEqual(['ALL'])
    }
    const named = (service.volumes ?? []).map((it) => it.split(':')[0] as string)
    expect(named.filter((it) => !it.startsWith('./') && !(it in volumes))).toEqual([])
  })
})

test('every variable of the template is used, and every variable that is used is in the template', () => {
  const used = composeFiles.flatMap((path) => variablesIn(JSON.stringify(readCompose(path))))
  expect([...new Set(used)].toSorted()).toEqual(Object.keys(template).toSorted())
})

describe('variables of compose', () => {
  test('are replaced as compose replaces them', () => {
    const values = { A: 'a', EMPTY: '' }
    expect(interpolate('${A} ${A:-b} ${B:-b} ${EMPTY:-c} [${B}] ${B:-x${A}}', values)).toBe('a a b c [] xa')
    expect(() => interpolate('${B:?set it}', values)).toThrow('B: set it')
    expect(variablesIn('${A} ${B:-x${C}} ${D:?set it in .env} $${E')).toEqual(['A', 'B', 'C', 'D'])
  })
})
