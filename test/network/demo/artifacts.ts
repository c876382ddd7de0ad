import { blobOf, gzipLayerOf, manifestMediaType, manifestOf, type SampleBlob } from '../sample-image.ts'
import { annotationsOf, descriptorOf, emptyConfig, emptyConfigType, noise, type DemoManifest, type ImageOf } from './images.ts' // prettier-ignore

export type ArtifactRecipe = 'chart' | 'wasm' | 'model' | 'dataset' | 'flux' | 'policies' | 'keys' | 'feature'

type Artifact = Omit<ImageOf, 'platform' | 'recipe'>

interface Parts {
  artifactType?: string
  config?: { mediaType: string; blob: SampleBlob }
  layers: { mediaType: string; blob: SampleBlob; title?: string }[]
}

/** What is no image: each with the media types its own tools give it. */
export function demoArtifact(recipe: ArtifactRecipe, artifact: Artifact): DemoManifest {
  const { artifactType, layers, config = { mediaType: emptyConfigType, blob: emptyConfig } } = makers[recipe](artifact) // prettier-ignore
  const manifest = manifestOf({
    schemaVersion: 2,
    mediaType: manifestMediaType,
    ...(artifactType !== undefined && { artifactType }),
    config: descriptorOf(config.mediaType, config.blob),
    layers: layers.map(({ blob, mediaType, title }) => ({
      ...descriptorOf(mediaType, blob),
      ...(title !== undefined && { annotations: { 'org.opencontainers.image.title': title } }),
    })),
    annotations: annotationsOf(artifact),
  })
  return { ...manifest, blobs: [...layers.map(({ blob }) => blob), config.blob] }
}

const nameOf = ({ repository }: Artifact) => repository.split('/').at(-1) ?? repository

const makers: Record<ArtifactRecipe, (artifact: Artifact) => Parts> = {
  chart: (artifact) => {
    const name = nameOf(artifact)
    const about = { apiVersion: 'v2', name, version: artifact.version, appVersion: artifact.version, type: 'application', description: artifact.about, keywords: ['demo'], maintainers: [{ name: artifact.repository.split('/')[0] }], home: `https://code.example/${artifact.repository}` } // prettier-ignore
    const { blob } = gzipLayerOf({
      [`${name}/Chart.yaml`]: `apiVersion: v2\nname: ${name}\nversion: ${artifact.version}\nappVersion: "${artifact.version}"\ntype: application\ndescription: ${JSON.stringify(artifact.about)}\n`,
      [`${name}/values.yaml`]: `replicaCount: 2\nimage:\n  repository: ${artifact.repository}\n  tag: ${artifact.version}\nservice:\n  port: 80\n`,
      [`${name}/templates/deployment.yaml`]: deploymentTemplate(name),
    })
    return {
      config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', blob: blobOf(JSON.stringify(about)) },
      layers: [{ mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip', blob }],
    }
  },
  wasm: (artifact) => {
    const module = blobOf(wasmModule(artifact))
    const config = { created: artifact.builtAt.toISOString(), architecture: 'wasm', os: 'wasip1', layerDigests: [module.digest] } // prettier-ignore
    return {
      config: { mediaType: 'application/vnd.wasm.config.v0+json', blob: blobOf(JSON.stringify(config)) },
      layers: [{ mediaType: 'application/wasm', blob: module, title: `${nameOf(artifact)}.wasm` }],
    }
  },
  model: (artifact) => {
    const config = { descriptor: { name: nameOf(artifact), version: artifact.version, createdAt: artifact.builtAt.toISOString(), licenses: ['Apache-2.0'] }, config: { architecture: 'transformer', format: 'safetensors', paramSize: '4m', precision: 'int8' }, modelfs: { type: 'layers', diffIds: [] } } // prettier-ignore
    const weight = (part: number) =>
      blobOf(noise(`${artifact.repository} ${artifact.version} ${part}`, 900_000))
    return {
      artifactType: 'application/vnd.cncf.model.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.cncf.model.config.v1+json',
        blob: blobOf(JSON.stringify(config)),
      },
      layers: [
        { mediaType: 'application/vnd.cncf.model.weight.v1.raw', blob: weight(1), title: 'model-00001-of-00002.safetensors' }, // prettier-ignore
        { mediaType: 'application/vnd.cncf.model.weight.v1.raw', blob: weight(2), title: 'model-00002-of-00002.safetensors' }, // prettier-ignore
        { mediaType: 'application/vnd.cncf.model.doc.v1.raw', blob: blobOf(`# ${nameOf(artifact)}\n\n${artifact.about}\n`), title: 'README.md' }, // prettier-ignore
      ],
    }
  },
  dataset: (artifact) => ({
    artifactType: 'application/vnd.example.dataset.v1',
    layers: [1, 2, 3].map((part) => ({
      mediaType: 'application/vnd.apache.parquet',
      blob: blobOf(noise(`${artifact.repository} ${part}`, 240_000)),
      title: `recordings-${part}.parquet`,
    })),
  }),
  flux: (artifact) => ({
    config: { mediaType: 'application/vnd.cncf.flux.config.v1+json', blob: emptyConfig },
    layers: [
      {
        mediaType: 'application/vnd.cncf.flux.content.v1.tar+gzip',
        blob: gzipLayerOf({ 'kustomization.yaml': `resources:\n  - deployment.yaml\n# ${artifact.version}\n` }).blob, // prettier-ignore
      },
    ],
  }),
  policies: (artifact) => ({
    config: { mediaType: 'application/vnd.cncf.openpolicyagent.config.v1+json', blob: emptyConfig },
    layers: [
      {
        mediaType: 'application/vnd.cncf.openpolicyagent.policy.layer.v1+rego',
        blob: blobOf(`package harbour\n\n# ${artifact.version}\ndefault allow := false\n\nallow if input.image.signed\n`), // prettier-ignore
        title: 'harbour.rego',
      },
    ],
  }),
  keys: (artifact) => ({
    artifactType: 'application/vnd.example.keyring.v1',
    layers: [
      { mediaType: 'application/x-pem-file', blob: blobOf(`-- keyring of the demo, ${artifact.version} --\n`), title: 'harbour.pub' }, // prettier-ignore
    ],
  }),
  feature: (artifact) => ({
    config: { mediaType: 'application/vnd.devcontainers', blob: emptyConfig },
    layers: [
      {
        mediaType: 'application/vnd.devcontainers.layer.v1+tar',
        blob: gzipLayerOf({ 'install.sh': `#!/bin/sh\n# ${artifact.version}\nexec apk add harbour-cli\n` })
          .blob,
        title: `devcontainer-feature-${nameOf(artifact)}.tgz`,
      },
    ],
  }),
}

const deploymentTemplate = (name: string) => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-${name}
spec:
  replicas: {{ .Values.replicaCount }}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
        - name: ${name}
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
`

/** A module that is valid and does nothing: the header, and a custom section with a name and filling. */
function wasmModule({ repository, version }: Artifact): Buffer {
  const name = Buffer.from(`${repository} ${version}`)
  const body = Buffer.concat([leb128(name.length), name, noise(`${repository} ${version}`, 48_000)])
  const header = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00])
  return Buffer.concat([header, Buffer.from([0]), leb128(body.length), body])
}

function leb128(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest & 127) | 128)
  }
}
