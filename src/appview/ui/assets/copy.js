// Buttons that copy the text they name. Without this script they stay hidden, and the text is selected by one click.
for (const button of document.querySelectorAll('button[data-copy]')) {
  button.hidden = false
  button.addEventListener('click', () => void copy(button))
}

async function copy(button) {
  const status = document.getElementById('copy-status')
  try {
    await navigator.clipboard.writeText(button.dataset.copy)
  } catch {
    status.textContent = 'Copying is not allowed here; select the text instead.'
    return
  }
  button.dataset.state = 'copied'
  status.textContent = 'Copied.'
  setTimeout(() => {
    delete button.dataset.state
    status.textContent = ''
  }, 1500)
}
