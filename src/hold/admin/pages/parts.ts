import { html, type Html } from '../../../http/html.ts'

/** Somebody by handle, with the DID below; by DID alone where no handle is known. */
export function person({ did, handle }: { did: string; handle: string | undefined }): Html {
  if (handle === undefined) return html`<span class="person"><code>${did}</code></span>`
  return html`<span class="person">${handle} <span class="did">${did}</span></span>`
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
