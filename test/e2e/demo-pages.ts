import type { Page } from 'playwright-core'

import type { DemoStage } from './demo-stage.ts'
import { beginPairing } from './people.ts'

/** A page to look at: tests judge it, screenshots show it. One line each. */
export interface DemoPage {
  name: string
  /** Below the AppView's address, or all of it. */
  path: string | ((stage: DemoStage) => string | Promise<string>)
  /** Who looks; alice unless told. */
  as?: 'nobody' | 'jun'
  status?: number
  /** What to do on the page before it is looked at; needs scripts. */
  act?: (page: Page) => Promise<void>
}

const tide = '/r/alice.test/tide'

export const demoPages: readonly DemoPage[] = [
  { name: 'home', path: '/' },
  { name: 'home-visitor', path: '/', as: 'nobody' },
  { name: 'search', path: '/search?q=tide' },
  { name: 'search-nothing', path: '/search?q=xylophone' },
  { name: 'profile', path: '/u/mira.test' },
  { name: 'profile-own', path: '/u/alice.test' },
  { name: 'profile-empty', path: '/u/jun.test' },
  { name: 'repository', path: tide, as: 'nobody' },
  { name: 'repository-own', path: tide },
  { name: 'repository-chart', path: '/r/noor.test/charts/lighthouse' },
  { name: 'repository-model', path: '/r/priya.test/models/whale-song' },
  { name: 'repository-wasm', path: '/r/yuki.test/filters/grayscale' },
  { name: 'repository-bare', path: '/r/bob.test/worker' },
  { name: 'repository-long', path: '/r/bob.test/team/backend/services/authentication-and-authorisation-gateway' },
  { name: 'tag', path: `${tide}/tags/latest` },
  { name: 'tag-chart', path: '/r/noor.test/charts/lighthouse/tags/6.0.0' },
  { name: 'manifest-index', path: async (stage) => `${tide}/manifests/${await stage.digestOf('alice.test/tide', 'latest')}` },
  { name: 'manifest-image', path: async (stage) => `/r/alice.test/beacon/manifests/${await stage.digestOf('alice.test/beacon', 'latest')}` },
  { name: 'manifest-chart', path: async (stage) => `/r/noor.test/charts/lighthouse/manifests/${await stage.digestOf('noor.test/charts/lighthouse', '6.0.0')}` },
  { name: 'manifest-model', path: async (stage) => `/r/priya.test/models/whale-song/manifests/${await stage.digestOf('priya.test/models/whale-song', 'latest')}` },
  { name: 'raw', path: async (stage) => `${tide}/-/raw/${await stage.digestOf('alice.test/tide', 'latest')}` },
  { name: 'history', path: `${tide}/-/history/latest` },
  { name: 'diff', path: `${tide}/-/diff?from=v1.4.1&to=v2.0.0` },
  { name: 'edit', path: `${tide}/-/edit` },
  { name: 'edit-preview', path: `${tide}/-/edit`, act: (page) => page.getByRole('button', { name: 'Preview' }).click() },
  { name: 'delete', path: `${tide}/-/delete?tag=v1` },
  { name: 'stars', path: '/stars', as: 'jun' },
  { name: 'stars-own', path: '/stars' },
  { name: 'settings', path: '/settings' },
  { name: 'settings-devices', path: '/settings/devices' },
  { name: 'settings-sign-ins', path: '/settings/sign-ins' },
  { name: 'settings-app-passwords', path: '/settings/app-passwords' },
  { name: 'settings-storage', path: '/settings/storage' },
  { name: 'settings-data', path: '/settings/data' },
  { name: 'settings-webhooks', path: '/settings/webhooks' },
  { name: 'hold', path: (stage) => `/h/${stage.network.hold.did}` },
  { name: 'hold-private', path: (stage) => `/h/${stage.demo.holds.byName.get('vault')?.did}` },
  { name: 'install', path: '/install' },
  { name: 'device-code', path: '/device' },
  { name: 'device', path: async (stage) => (await beginPairing(stage.network, 'alice’s other laptop')).verification_uri_complete },
  { name: 'login', path: '/auth/oauth/login', as: 'nobody' },
  { name: 'terms', path: '/terms', as: 'nobody' },
  { name: 'privacy', path: '/privacy', as: 'nobody' },
  { name: 'not-found', path: '/r/alice.test/tyde', status: 404 },
  { name: 'failed', path: (stage) => `${stage.failing.url}/fail`, as: 'nobody', status: 500 },
] // prettier-ignore

/** The whole address. */
export async function urlOf({ path }: DemoPage, stage: DemoStage): Promise<string> {
  const found = typeof path === 'string' ? path : await path(stage)
  return new URL(found, stage.network.appview.url).href
}

/** Who looks at it, as {@link DemoStage.openAs} wants it. */
export const viewerOf = ({ as = 'alice' }: { as?: 'alice' | 'nobody' | 'jun' }) =>
  as === 'nobody' ? undefined : as
