import { OciLayout } from '../oci-layout.ts'
import type { LocalImage } from './client.ts'

/** Writes an artifact about an image, for the clients that copy a ready one and cannot make it. */
export async function writeNote(path: string, about: LocalImage, artifactType: string): Promise<LocalImage> {
  const layout = await OciLayout.create(path)
  const layer = { mediaType: 'text/plain', bytes: Buffer.from(`about ${about.descriptor.digest}\n`) }
  const subject = { ...about.descriptor }
  delete subject.annotations
  const descriptor = await layout.addArtifact('note', { layer, artifactType, subject })
  return { layoutPath: path, tag: 'note', descriptor }
}

/** `alice.test/app` of `alice.test/app:v1`. */
export function repositoryOf(reference: string): string {
  return reference.replace(/:[^:/]*$/, '')
}
