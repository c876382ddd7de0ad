import { testBlobStore } from './blob-store-contract.ts'
import { filesystemHarness, s3Harness } from './blob-stores.ts'

testBlobStore('filesystem', filesystemHarness)
testBlobStore('s3', s3Harness)
