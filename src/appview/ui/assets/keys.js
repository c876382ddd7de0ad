// Keys for those who like them. Without this script everything is reached by Tab and Enter.
const places = { h: '/', s: '/stars' }
let isGoing = false

for (const button of document.querySelectorAll('button[data-opens]')) {
  button.hidden = false
  button.addEventListener('click', () => document.getElementById(button.dataset.opens).showModal())
}

document.addEventListener('keydown', (event) => {
  const { target } = event
  const isTyping = target.isContentEditable || /^(?:input|textarea|select)$/i.test(target.tagName)
  if (isTyping && event.key === 'Escape') target.blur()
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return
  if (document.querySelector('dialog[open]') !== null) return
  if (act(event.key)) event.preventDefault()
})

function act(key) {
  if (isGoing) {
    isGoing = false
    if (!Object.hasOwn(places, key)) return false
    location.assign(places[key])
    return true
  }
  switch (key) {
    case '/': {
      const search = document.getElementById('search')
      search.focus()
      search.select()
      return true
    }
    case '?':
      document.getElementById('keys').showModal()
      return true
    case 'g':
      isGoing = true
      setTimeout(() => (isGoing = false), 1000)
      return true
    case 'j':
      return step(1)
    case 'k':
      return step(-1)
    case 'y':
      document.querySelector('.command button[data-copy]')?.click()
      return true
    default:
      return false
  }
}

/** Entries of lists are what carries `data-entry`: their link gets the focus. */
function step(by) {
  const links = [...document.querySelectorAll('[data-entry]')]
  if (links.length === 0) return false
  const current = links.indexOf(document.activeElement)
  const next = current === -1 ? (by > 0 ? 0 : links.length - 1) : current + by
  links[Math.min(Math.max(next, 0), links.length - 1)].focus()
  return true
}
