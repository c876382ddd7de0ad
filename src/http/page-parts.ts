import { formatAge, formatTime } from '../lib/format.ts'
import { html, type Html } from './html.ts'

/** What a form led to, or what is wrong with it. */
export function notice(kind: 'good' | 'bad' | 'warm', text: Html | string): Html {
  return html`<p class="notice ${kind}" role="${kind === 'bad' ? 'alert' : 'status'}">${text}</p>`
}

/** What is wrong with a field, beside it; the field names it in `aria-describedby`. */
export function fieldError(name: string, error: string | undefined): Html | '' {
  return error === undefined ? '' : html`<p class="error" id="${name}-error" role="alert">${error}</p>`
}

/** The attributes of a field's input that say what describes it. */
export function describedBy(name: string, error: string | undefined): string {
  return error === undefined ? `${name}-hint` : `${name}-error ${name}-hint`
}

/** How long ago, with the exact time on hover and for machines. */
export function age(time: Date, now: Date): Html {
  return html`<time datetime="${time.toISOString()}" title="${formatTime(time)}"
    >${formatAge(time, now)}</time
  >`
}

/** A line of `<dl class="fact-list">`. */
export function fact(name: string, value: Html | string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`
}

/** Places of a site, the present one marked. */
export function siteNav<Path extends string>(
  label: string,
  places: readonly (readonly [path: Path, text: string])[],
  current: Path,
): Html {
  return html`<nav class="site-nav" aria-label="${label}">
    <ul class="column">
      ${places.map(([path, text]) =>
        path === current
          ? html`<li><a href="${path}" aria-current="page">${text}</a></li>`
          : html`<li><a href="${path}">${text}</a></li>`,
      )}
    </ul>
  </nav>`
}

export const logo = html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
  <path
    d="M2.6 18.5h26.8c.7 0 1.2.7.9 1.4l-2.7 6.3a3 3 0 0 1-2.8 1.8H7.2a3 3 0 0 1-2.8-1.8l-2.7-6.3c-.3-.7.2-1.4.9-1.4Z"
  />
  <rect x="5.5" y="11" width="6" height="5.5" rx="1.2" />
  <rect class="logo-warm" x="13" y="11" width="6" height="5.5" rx="1.2" />
  <rect x="20.5" y="11" width="6" height="5.5" rx="1.2" />
  <rect class="logo-warm" x="9.2" y="4" width="6" height="5.5" rx="1.2" />
  <rect x="16.8" y="4" width="6" height="5.5" rx="1.2" />
</svg>`
