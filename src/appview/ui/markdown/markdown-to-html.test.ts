import fc from 'fast-check'
import { parse, type DefaultTreeAdapterTypes } from 'parse5'
import { expect, test } from 'vitest'

import { markdownToHtml } from './markdown-to-html.ts'

const options = { nonce: 'n1234', baseUrl: undefined, images: 'proxy' } as const
const toHtml = (text: string, more: Partial<Parameters<typeof markdownToHtml>[1]> = {}) =>
  markdownToHtml(text, { ...options, ...more }).html

type Element = DefaultTreeAdapterTypes.Element

/** All elements of a document, as a browser would build it. */
function elementsOf(document: string): Element[] {
  const walk = (node: DefaultTreeAdapterTypes.Node): Element[] => [
    ...('tagName' in node ? [node] : []),
    ...('childNodes' in node ? node.childNodes.flatMap(walk) : []),
  ]
  return walk(parse(document))
}

const attribute = (element: Element, name: string) =>
  element.attrs.find((candidate) => candidate.name === name)?.value
const idOf = (element: Element) => attribute(element, 'id')

const tagsThatMayStand = new Set(
  'a abbr b blockquote br caption cite code dd del details div dl dt em h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var'.split(
    ' ',
  ),
)
const attributesThatMayStand = new Set(
  'align alt aria-label class colspan decoding height href id loading open rel role rowspan scope src start tabindex title width'.split(
    ' ',
  ),
)

/** The text on a page like ours, and what is wrong with it. */
function faultsOf(rendered: { html: string; images: string[] }): string[] {
  const page = `<!doctype html><html><head><title>x</title></head><body><main id="main"><section id="readme"><article id="text">${rendered.html}</article><p id="after"></p></section></main><footer id="foot"></footer></body></html>`
  const elements = elementsOf(page)
  const byId = (id: string) => elements.filter((element) => idOf(element) === id)
  const faults: string[] = []
  for (const id of ['main', 'readme', 'text', 'after', 'foot']) {
    if (byId(id).length !== 1) faults.push(`#${id} stands there ${byId(id).length} times`)
  }
  if (byId('after')[0]?.parentNode !== byId('readme')[0]) faults.push('it closed what it did not open')
  const inside = elementsOf(rendered.html).filter(
    ({ tagName }) => !['html', 'head', 'body'].includes(tagName),
  )
  for (const element of inside) {
    if (!tagsThatMayStand.has(element.tagName)) faults.push(`<${element.tagName}>`)
    for (const { name, value } of element.attrs) {
      if (!attributesThatMayStand.has(name)) faults.push(`<${element.tagName} ${name}>`)
      if (name === 'src' && !/^n1234-image-\d+$/.test(value)) faults.push(`src ${value}`)
      if (name === 'href' && !/^(?:https?:\/\/|mailto:|#readme-)/.test(value)) faults.push(`href ${value}`)
      if (name === 'href' && !value.startsWith('#') && attribute(element, 'rel') !== 'nofollow ugc noopener')
        faults.push(`no rel for ${value}`)
      if (name === 'class' && !/^(?:hljs-[a-z_ -]+|table-scroll)$/.test(value)) faults.push(`class ${value}`)
      if (name === 'id' && !value.startsWith('readme-')) faults.push(`id ${value}`)
    }
  }
  const ids = inside.flatMap((element) => idOf(element) ?? [])
  if (new Set(ids).size !== ids.length) faults.push('an id twice')
  faults.push(...rendered.images.filter((url) => !/^https?:\/\//.test(url)))
  return faults
}

/** Pieces that have broken sanitizers, and those that Markdown is made of. */
const nasty = [
  String.raw`<script>alert(1)</script>¦<img src=x onerror=alert(1)>¦<svg onload=alert(1)>¦<style>*{}</style>`,
  String.raw`<a href="javascript:alert(1)">¦<a href=" jav&#x09;ascript:x">¦[x](javascript:x)¦<iframe srcdoc="x">`,
  String.raw`<div style="position:fixed">¦</div>¦</section>¦</main>¦</article>¦</body>¦</html>¦</p>¦<table><tr><td>`,
  String.raw`</table>¦<li>¦</li>¦<ul>¦<b>¦</b>¦<i>¦<p>¦<pre>¦</pre>¦<h2>¦<h1 id="main">¦<a name="main">¦<button>`,
  String.raw`<form action="//evil"><input name=csrf>¦<base href="//e">¦<!--¦-->¦<![CDATA[¦]]>¦<?php¦<noscript>`,
  String.raw`<title>¦<template>¦<math><mtext>¦<xmp>¦<details open ontoggle=x>¦<summary>¦<video src=//e>¦<link>`,
  String.raw`<object data=//e>¦<embed src=//e>¦![x](https://e.example/x.png)¦![x](data:image/svg+xml;base64,AA)`,
  String.raw`<img srcset="//e/x 2x">¦![](//e/x)¦[x]: https://e.example "y"¦[x]¦<https://e.example>¦www.e.example`,
  String.raw`&lt;script&gt;¦&#60;script&#62;¦\<¦text¦ ¦"¦'¦<¦>¦=¦&¦n1234-image-0¦n1234-main¦**¦~~¦|¦${'`'}¦dd¦<dd>`,
]
  .flatMap((line) => line.split('¦'))
  .concat(['# A\n', '# A\n', '## A-1\n', '\n\n', '\n- ', '\n> ', '\n1. ', '\n```html\n', '\n    ', '\n'])
  .concat(['\n| a | b |\n|---|---|\n| 1 | 2 |\n', '\0', '\u202e'])

test('whatever goes in, nothing runs, nothing is loaded from elsewhere, and the page around it stays whole', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...nasty) }, fc.string({ unit: 'binary' })), {
        maxLength: 30,
      }),
      fc.constantFrom('proxy' as const, 'link' as const),
      fc.constantFrom(undefined, 'https://source.example/docs/'),
      (pieces, images, baseUrl) => {
        expect(faultsOf(markdownToHtml(pieces.join(''), { nonce: 'n1234', images, baseUrl }))).toEqual([])
      },
    ),
    { numRuns: 300 },
  )
}, 60_000)

test('GitHub’s Markdown: tables, tasks, code in colours, headings that can be linked to', () => {
  const text =
    '# App\n## Use it\n## Use it\n[up](#Use-it)\n\n- [x] done\n- [ ] not yet\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```sh\necho "hi"\n```\n'
  const html = toHtml(text)
  // The highest heading comes right below the page's own.
  expect(html).toContain('<h3 id="readme-app">App</h3>')
  expect(html).toContain('<h4 id="readme-use-it">Use it</h4>')
  expect(html).toContain('<h4 id="readme-use-it-1">Use it</h4>')
  expect(html).toContain('<a href="#readme-use-it">up</a>')
  expect(html).toContain('<li>☑ done</li>')
  expect(html).toContain('<td align="right">2</td>')
  expect(html).toContain('<span class="hljs-string">"hi"</span>')
  expect(html).not.toContain('<input')
})

test('what code says is code, in whatever language it claims to be', () => {
  for (const language of ['', 'html', 'sh', 'nonsense', '"><script>', 'constructor'])
    expect(toHtml(`\`\`\`${language}\n</code></pre><script>alert(1)</script>\n\`\`\``)).not.toContain(
      '<script',
    )
})

test('relative links lead to the source where it is known, and nowhere else', () => {
  const text = '[docs](docs/use.md) [up](../../../x) [root](/x) [mail](mailto:a@b.example)'
  expect(toHtml(text)).toBe(
    '<p><a>docs</a> <a>up</a> <a>root</a> <a href="mailto:a@b.example" rel="nofollow ugc noopener">mail</a></p>\n',
  )
  const baseUrl = 'https://github.com/o/r/blob/HEAD/'
  expect(toHtml(text, { baseUrl })).toContain('href="https://github.com/o/r/blob/HEAD/docs/use.md"')
})

test('pictures come through us, or are links; those without an address are their words', () => {
  const text =
    '![A chart](https://e.example/a.png) [![badge](http://e.example/b.png)](https://ci.example) ![x](c.png)'
  const shown = markdownToHtml(text, { ...options, baseUrl: undefined })
  expect(shown.images).toEqual(['https://e.example/a.png', 'http://e.example/b.png'])
  expect(shown.html).toContain('<img src="n1234-image-0" alt="A chart" loading="lazy" decoding="async" />')
  expect(shown.html).toContain('<span>x</span>')
  const linked = markdownToHtml(text, { ...options, baseUrl: undefined, images: 'link' })
  expect(linked.images).toEqual([])
  expect(linked.html).toContain('<a href="https://e.example/a.png" rel="nofollow ugc noopener">A chart</a>')
  // No link within a link.
  expect(linked.html).toContain(
    '<a href="https://ci.example/" rel="nofollow ugc noopener"><span>badge</span></a>',
  )
  // A picture in the tree of a repository is a page there; the picture itself has another address.
  const source = { ...options, baseUrl: 'https://github.com/o/r/blob/HEAD/' }
  expect(markdownToHtml('![x](docs/x.png)', source).images).toEqual([
    'https://github.com/o/r/raw/HEAD/docs/x.png',
  ])
})
