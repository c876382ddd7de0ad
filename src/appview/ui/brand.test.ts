import { expect, test } from 'vitest'

import { contrastOf } from '../../lib/contrast.ts'
import { appViewConfig, pageGrounds, textContrastMin } from '../config.ts'
import { loadAssets } from './assets.ts'
import { brandCss, loadBrand, plainBrand, themes } from './brand.ts'

const config = (more: Omit<Parameters<typeof appViewConfig>[0], 'server'> = {}, name = 'ATCR') =>
  appViewConfig({ server: { default_hold_did: 'did:web:h.example', client_name: name }, ...more })

test('without settings it is the plain brand, and the style sheet is everybody’s', () => {
  expect(loadBrand(config())).toEqual(plainBrand)
  const [plain, worn] = [loadAssets(), loadAssets()]
  worn.wear(loadBrand(config()))
  expect(worn.path('atcr.css')).toBe(plain.path('atcr.css'))
})

test.each(Object.entries(themes))(
  'the %s theme is read on every ground, its own tint included',
  (name, accent) => {
    for (const mode of ['light', 'dark'] as const)
      for (const ground of pageGrounds[mode])
        expect(contrastOf(accent[mode], ground), `${mode} on ${ground}`).toBeGreaterThanOrEqual(
          textContrastMin,
        )
    const css = brandCss({ ...plainBrand, accent })
    expect(css === '').toBe(name === 'blue')
    const [, light, dark] = /--accent-soft: light-dark\((#\w+), (#\w+)\)/.exec(css) ?? []
    if (light === undefined || dark === undefined) return
    expect(contrastOf(accent.light, light)).toBeGreaterThanOrEqual(textContrastMin)
    expect(contrastOf(accent.dark, dark)).toBeGreaterThanOrEqual(textContrastMin)
  },
)

test('a long name is cut where there is little room', () => {
  expect(loadBrand(config({}, 'Container Registry of Example')).shortName).toBe('Container Regist')
})

test('everything amiss with files is told together', () => {
  const branding = { logo_path: 'package.json', favicon_path: '/nowhere.png' }
  const load = () => loadBrand(config({ branding, legal: { terms_path: '/dev/null' } }))
  for (const part of ['package.json: not a PNG', '/nowhere.png: ENOENT', '/dev/null: there is nothing in it'])
    expect(load).toThrow(part)
})

test('the contrast of two colours is as WCAG reckons it', () => {
  expect(contrastOf('#000000', '#ffffff')).toBe(21)
  expect(contrastOf('#767676', '#ffffff')).toBeCloseTo(4.54, 2)
})
