// Pushes appear in the list as they happen. Without this script it shows what there was when the page was loaded.
const place = document.querySelector('[data-live]')
const button = document.querySelector('button[data-live-pause]')
const status = document.getElementById('live-status')
const lengthMax = 20
let last = place.dataset.after
let isPaused = false
let source
let waiting = []

function listen() {
  if (isPaused || document.hidden || source !== undefined) return
  source = new EventSource(`${place.dataset.live}?${new URLSearchParams({ after: last })}`)
  source.addEventListener('push', (event) => {
    if (event.lastEventId > last) last = event.lastEventId
    waiting.push(event.data)
    show()
  })
}

function stop() {
  source?.close()
  source = undefined
}

/** Nothing moves under a pointer or the focus: what comes meanwhile waits. */
function isInUse() {
  return place.matches(':hover, :focus-within')
}

function show() {
  if (isInUse() || waiting.length === 0) return
  let list = place.querySelector('ul')
  if (list === null) {
    list = document.createElement('ul')
    list.className = 'repositories'
    place.replaceChildren(list)
  }
  for (const html of waiting) {
    const template = document.createElement('template')
    template.innerHTML = html
    const item = template.content.querySelector('li')
    const { repository } = item.dataset
    for (const old of list.children) if (old.dataset.repository === repository) old.remove()
    item.classList.add('arrived')
    list.prepend(item)
    while (list.children.length > lengthMax) list.lastElementChild.remove()
    const tag = item.querySelector('.tag')?.textContent
    status.textContent = `Pushed: ${item.querySelector('h3').textContent.replaceAll(/\s+/g, '')}${tag ? `, ${tag}` : ''}`
  }
  waiting = []
}

button.hidden = false
button.addEventListener('click', () => {
  isPaused = !isPaused
  button.textContent = isPaused ? 'Go on' : 'Pause'
  button.setAttribute('aria-pressed', String(isPaused))
  if (isPaused) stop()
  else listen()
})
place.addEventListener('pointerleave', show)
place.addEventListener('focusout', () => setTimeout(show))
document.addEventListener('visibilitychange', () => (document.hidden ? stop() : listen()))
listen()
