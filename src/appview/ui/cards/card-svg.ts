import { html, type Html } from '../../../http/html.ts'
import type { BrandedCard } from '../views/card.ts'
import type { Font } from './font.ts'
import { cut, showable, widthOf, wrap } from './text.ts'

export interface CardFonts {
  regular: Font
  bold: Font
}

export const cardSize = { width: 1200, height: 630 }

// Those of the pages in the dark.
const colors = {
  paper: '#0f161d',
  surface: '#161f28',
  line: '#2a3743',
  text: '#e4ebf1',
  quiet: '#9dadba',
  warm: '#eaa650',
}
const margin = 80
const room = cardSize.width - 2 * margin

/** The picture that shared links show, as SVG. Everything in it is text that was measured, cut and escaped. */
export async function cardSvg(card: BrandedCard, fonts: CardFonts): Promise<string> {
  const document = await html`<svg
    xmlns="http://www.w3.org/2000/svg"
    width="${cardSize.width}"
    height="${cardSize.height}"
    viewBox="0 0 ${cardSize.width} ${cardSize.height}"
    font-family="Inter"
  >
    <rect width="100%" height="100%" fill="${colors.paper}" />
    ${card.brand.hasShip && html`<g transform="translate(690 96) scale(17)">${ship(colors.surface, colors.surface)}</g>`}
    <rect width="100%" height="10" fill="${card.brand.accent}" />
    <rect width="180" height="10" fill="${colors.warm}" />
    ${header(card, fonts)} ${title(card, fonts)} ${facts(card, fonts)}
  </svg>`
  return document.toString()
}

const text = (
  x: number,
  y: number,
  { size, fill, weight = 400 }: { size: number; fill: string; weight?: number },
  line: string,
) => html`<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}">${line}</text>`

/** The logo, 32 pixels wide. */
function ship(hull: string, cargo: string): Html {
  const boxes = [
    [5.5, 11, hull],
    [13, 11, cargo],
    [20.5, 11, hull],
    [9.2, 4, cargo],
    [16.8, 4, hull],
  ] as const
  return html`<path
      fill="${hull}"
      d="M2.6 18.5h26.8c.7 0 1.2.7.9 1.4l-2.7 6.3a3 3 0 0 1-2.8 1.8H7.2a3 3 0 0 1-2.8-1.8l-2.7-6.3c-.3-.7.2-1.4.9-1.4Z"
    />
    ${boxes.map(([x, y, fill]) => html`<rect x="${x}" y="${y}" width="6" height="5.5" rx="1.2" fill="${fill}" />`)}`
}

function header({ brand, host }: BrandedCard, { bold, regular }: CardFonts) {
  const size = 30
  const name = cut(regular, host, { width: room / 2, size })
  // Without the ship, whose place is then the name's: another picture would have to be read for each card.
  const emblem = html`<g transform="translate(${margin} 62) scale(1.8)"
    >${ship(brand.accent, colors.warm)}</g
  >`
  const nameAt = brand.hasShip ? margin + 76 : margin
  const shownName = showable(bold, brand.name) ?? ''
  return html`${brand.hasShip && emblem}
  ${text(nameAt, 106, { size: 40, fill: colors.text, weight: 700 }, cut(bold, shownName, { width: room / 2 - 76, size: 40 }))}
  ${text(cardSize.width - margin - widthOf(regular, name, size), 104, { size, fill: colors.quiet }, name)}`
}

/** Name and description share the middle: a long name leaves less to the description. */
function title({ above, brand, names, description }: BrandedCard, { bold, regular }: CardFonts) {
  const name = names.map((name) => showable(bold, name)).find((name) => name !== undefined) ?? ''
  const top = above === undefined ? 250 : 290
  const size = widthOf(bold, name, 84) <= room ? 84 : 62
  const lines = wrap(bold, name, { width: room, size, lineCountMax: 2 })
  const below = top + (lines.length - 1) * size * 1.15
  const shown = description === undefined ? undefined : showable(regular, description)
  const descriptionLines =
    shown === undefined
      ? []
      : wrap(regular, shown, { width: room, size: 36, lineCountMax: lines.length > 1 ? 2 : 3 })
  return html`${above !== undefined && text(margin, 190, { size: 40, fill: brand.accent }, cut(regular, above, { width: room, size: 40 }))}
  ${lines.map((line, index) => text(margin, top + index * size * 1.15, { size, fill: colors.text, weight: 700 }, line))}
  ${descriptionLines.map((line, index) => text(margin, below + 72 + index * 50, { size: 36, fill: colors.quiet }, line))}`
}

function facts(card: BrandedCard, { regular }: CardFonts) {
  const size = 32
  const gap = 44
  let x = margin
  const shown = card.facts.flatMap((fact) => {
    const width = widthOf(regular, fact, size)
    if (x + width > cardSize.width - margin) return []
    const at = x
    x += width + gap
    return [{ at, fact }]
  })
  return html`<rect x="${margin}" y="510" width="${room}" height="2" fill="${colors.line}" /> ${shown.map(
      ({ at, fact }, index) =>
        html`${index > 0 && html`<circle cx="${at - gap / 2}" cy="557" r="4" fill="${colors.warm}" />`}
        ${text(at, 568, { size, fill: colors.text }, fact)}`,
    )}`
}
