import { cleanText, formatCount } from '../../../lib/format.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { findActorProfiles } from '../../db/actor-profiles.ts'
import { sumStats } from '../../db/hold-stats.ts'
import { findShownRepository, listShownRepositories, listShownTags } from '../../db/listings.ts'
import { countStars } from '../../db/stars.ts'
import type { ShownSums } from '../../services/shown-sums.ts'
import { describeManifests } from './manifest.ts'
import { findOwner, readActor, readRepositoryPath, type ViewNeeds } from './owner.ts'
import { registryAddress, type RegistryPlace } from './pull-commands.ts'
import { ownDescription } from './repository-list.ts'

/** What the picture of a shared link says. */
export interface Card {
  /** A line above the name. */
  above: string | undefined
  /** What it is called; the first of these that the font can show. */
  names: readonly string[]
  description: string | undefined
  /** `12 tags`, `106 MB`: as many as there is room for. */
  facts: readonly string[]
  /** Where it is. */
  host: string
}

/** A card in the colours and under the name of its registry. */
export interface BrandedCard extends Card {
  brand: { name: string; accent: string; hasShip: boolean }
}

type Needs = Omit<ViewNeeds, 'viewer'> & RegistryPlace & { shownSums: Pick<ShownSums, 'ofRepository'> }

const repositoryCountMax = 100
const textLengthMax = 300

/** The card of a repository that everyone may see; undefined when there is none under this path. */
export async function viewRepositoryCard(needs: Needs, pathText: string): Promise<Card | undefined> {
  const { db } = needs
  const path = readRepositoryPath(pathText)
  const owner = path && (await findOwner({ ...needs, viewer: undefined }, path.owner))
  if (path === undefined || owner === undefined) return undefined
  const key = { ownerDid: owner.did, name: path.name }
  const repository = await findShownRepository(db, key, undefined)
  if (repository === undefined) return undefined
  const [newest] = await listShownTags(db, repository, { limit: 1, viewer: undefined })
  const manifest = newest && (await describeManifests(db, repository, [newest.digest])).get(newest.digest)
  const [{ sizeBytes, tagCount }, starCount, { pullCount }] = [
    await needs.shownSums.ofRepository(repository, undefined),
    await countStars(db, repository),
    await sumStats(db, repository),
  ]
  return {
    above: `${owner.label} /`,
    names: [path.name],
    description: (await ownDescription(db, repository)) ?? manifest?.description,
    facts: [
      formatCount(tagCount, 'tag'),
      formatSize(sizeBytes),
      ...(starCount > 0 ? [formatCount(starCount, 'star')] : []),
      ...(pullCount > 0 ? [formatCount(pullCount, 'pull')] : []),
      ...(manifest?.platforms ?? []),
    ],
    host: registryAddress(needs).host,
  }
}

/** The card of an account; undefined when there is no such account. */
export async function viewOwnerCard(needs: Needs, actorText: string): Promise<Card | undefined> {
  const actor = readActor(actorText)
  const owner = actor === undefined ? undefined : await findOwner({ ...needs, viewer: undefined }, actor)
  if (owner === undefined) return undefined
  const limit = repositoryCountMax + 1
  const repositories = await listShownRepositories(needs.db, owner.did, { limit, viewer: undefined })
  const profile = (await findActorProfiles(needs.db, [owner.did])).get(owner.did)
  const count = repositories.length
  const name = cleanText(profile?.displayName ?? '', textLengthMax)
  return {
    above: name === '' ? undefined : owner.label,
    names: [name, owner.label],
    description:
      profile?.description === undefined ? undefined : cleanText(profile.description, textLengthMax),
    facts: [
      count > repositoryCountMax
        ? `more than ${repositoryCountMax} repositories`
        : `${count} ${count === 1 ? 'repository' : 'repositories'}`,
      ...(repositories[0] === undefined ? [] : [`last pushed ${repositories[0].updatedAt.slice(0, 10)}`]),
    ],
    host: registryAddress(needs).host,
  }
}

/** The card of the registry itself. */
export function viewSiteCard(place: RegistryPlace): Card {
  return {
    above: undefined,
    names: ['Container images, in your own name'],
    description:
      'Manifests are records in your own AT Protocol data repo; layers rest in a hold that anyone can run.',
    facts: ['docker', 'podman', 'containerd', 'Helm', 'oras'],
    host: registryAddress(place).host,
  }
}
