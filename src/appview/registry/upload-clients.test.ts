import { expect, test } from 'vitest'

import { followsUploadElsewhere } from './upload-clients.ts'

test.each([
  ['docker/20.10.24+dfsg1 go/go1.19.8 os/linux UpstreamClient(Docker-Client/20.10.24)', true],
  ['containerd/1.6.20~ds1', true],
  ['skopeo/1.9.3', true],
  ['containers/5.23.1 (github.com/containers/image)', true],
  ['Buildah/1.28.2', true],
  ['crane/v0.22.1 go-containerregistry/v0.22.1', true],
  ['ko/0.15 go-containerregistry/v0.19.0', true],
  ['regclient/regctl (v0.11.7)', true],
  ['oras/1.3.6', false],
  ['Helm/3.22', false],
  ['notation/1.3.2', false],
  ['mydocker/1.0', false],
  ['', false],
  [undefined, false],
])('%s: %s', (userAgent, follows) => {
  expect(followsUploadElsewhere(userAgent)).toBe(follows)
})
