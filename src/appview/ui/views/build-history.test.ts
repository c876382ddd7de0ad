import { expect, test } from 'vitest'

import { digestOfBytes } from '../../../protocol/oci/digest.ts'
import type { ManifestLink } from '../../db/manifests.ts'
import { buildHistory, readCommand } from './build-history.ts'
import type { HistoryEntry } from './image-config.ts'

const layer = (name: string, sizeBytes: number): ManifestLink => ({
  kind: 'layer',
  targetDigest: digestOfBytes(new TextEncoder().encode(name)),
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  sizeBytes,
})
const entry = (command: string, isEmpty = false): HistoryEntry => ({
  command,
  comment: undefined,
  createdAt: undefined,
  isEmpty,
})

test.each([
  ['/bin/sh -c #(nop)  CMD ["sh"]', 'CMD', ['["sh"]']],
  ['/bin/sh -c #(nop) ADD file:4b0cd4bc5ffb2db3c9c2f4b5a37b2d5f3bf3e2a1b0c9d8e7f6a5b4c3d2e1f00f in / ', 'ADD', ['file:4b0cd4bc5ffb… in /']],
  ['/bin/sh -c apk add curl', 'RUN', ['apk add curl']],
  ['RUN /bin/sh -c apk add curl # buildkit', 'RUN', ['apk add curl']],
  ['RUN |2 A=1 B=two words /bin/sh -c make # buildkit', 'RUN', ['make']],
  ['|1 VERSION=1 /bin/sh -c make', 'RUN', ['make']],
  ['RUN /bin/bash -o pipefail -c make', undefined, undefined],
  ['RUN /bin/bash -euxc make', 'RUN', ['make']],
  ['COPY . /src # buildkit', 'COPY', ['. /src']],
  ['ENTRYPOINT ["/x"]', 'ENTRYPOINT', ['["/x"]']],
  ['cmd /S /C #(nop) SHELL ["powershell"]', 'SHELL', ['["powershell"]']],
  ['RUN cmd /S /C dir', 'RUN', ['dir']],
  ['RUNNING', undefined, ['RUNNING']],
  ['bazel build //x:image', undefined, ['bazel build //x:image']],
  ['', undefined, undefined],
])('%s', (text, instruction, lines) => {
  const command = readCommand(text, undefined)
  if (lines !== undefined) expect(command).toEqual({ instruction, lines })
  else if (text === '') expect(command).toBe(undefined)
  else expect(command?.lines.join(' ')).toContain('make')
}) // prettier-ignore

test('a long chain has a line for each part, a comment stands in for an empty command', () => {
  const text = `RUN /bin/sh -c apt-get update && apt-get install -y ${'x'.repeat(60)} || exit 1 # buildkit`
  expect(readCommand(text, undefined)?.lines).toEqual([
    'apt-get update',
    `&& apt-get install -y ${'x'.repeat(60)}`,
    '|| exit 1',
  ])
  expect(readCommand('', 'buildkit.exporter')).toEqual({
    instruction: undefined,
    lines: ['buildkit.exporter'],
  })
})

test('each layer stands beside the step that made it, with its share', () => {
  const history = [entry('ADD a /'), entry('ENV x=1', true), entry('RUN b')]
  const { isUnmatched, steps } = buildHistory([layer('a', 30), layer('b', 10)], history)
  expect(isUnmatched).toBe(false)
  expect(
    steps.map((step) => [step.command?.instruction, step.layer?.sizeBytes, step.layer?.percent]),
  ).toEqual([
    ['ADD', 30, 75],
    ['ENV', undefined, undefined],
    ['RUN', 10, 25],
  ])
})

test('a history that does not fit is not put beside anything', () => {
  const layers = [layer('a', 0), layer('b', 0)]
  const one = buildHistory(layers, [entry('ADD a /')])
  expect([one.isUnmatched, one.steps.length, one.steps[0]?.command]).toEqual([true, 2, undefined])
  expect(one.steps[0]?.layer?.percent).toBe(0)
  const none = buildHistory(layers, [])
  expect([none.isUnmatched, none.steps.length]).toEqual([false, 2])
  expect(buildHistory([], undefined)).toEqual({ steps: [], moreCount: 0, isUnmatched: false })
})

test('thousands of steps are cut, and so is their text', () => {
  const history = Array.from({ length: 2_000 }, (_, index) =>
    entry(`RUN ${index} ${'x'.repeat(900)}`, index > 0),
  )
  const { moreCount, steps } = buildHistory([layer('a', 1)], history)
  expect([steps.length, moreCount]).toEqual([80, 1_920])
  expect(JSON.stringify(steps).length).toBeLessThan(45_000)
})
