import { html, type Html } from '../../../http/html.ts'
import { formatAge, formatTime } from '../../../lib/format.ts'

/** What is wrong with a field, beside it; the field names it in `aria-describedby`. */
export function fieldError(name: string, error: string | undefined): Html | '' {
  return error === undefined ? '' : html`<p class="error" id="${name}-error" role="alert">${error}</p>`
}

/** The attributes of a field's input that say what describes it. */
export function describedBy(name: string, error: string | undefined): string {
  return error === undefined ? `${name}-hint` : `${name}-error ${name}-hint`
}

/** Somebody by handle, with the DID below; by DID alone where no handle is known. */
export function person({ did, handle }: { did: string; handle: string | undefined }): Html {
  if (handle === undefined) return html`<span class="person"><code>${did}</code></span>`
  return html`<span class="person">${handle} <span class="did">${did}</span></span>`
}

/** How long ago, with the exact time on hover and for machines. */
export function age(time: Date, now: Date): Html {
  return html`<time datetime="${time.toISOString()}" title="${formatTime(time)}"
    >${formatAge(time, now)}</time
  >`
}

/** A box to tick, with a line on what it means. */
export function checkbox(box: {
  name: string
  value?: string
  label: string
  hint: Html | string
  isChecked: boolean
}): Html {
  const id = `${box.name}-${box.value ?? 'on'}`.replaceAll(':', '-')
  return html`<div class="check">
    <input
      type="checkbox"
      id="${id}"
      name="${box.name}"
      value="${box.value ?? 'on'}"
      aria-describedby="${id}-hint"
      ${box.isChecked ? 'checked' : ''}
    />
    <label for="${id}">${box.label}</label>
    <p class="hint" id="${id}-hint">${box.hint}</p>
  </div>`
}
