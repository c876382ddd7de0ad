/** What a secret looks like. The parts stand apart, so that this file is none of its own findings. */
const patterns: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a private key', /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----\s*(?:$|\\n|[A-Za-z0-9+/=]{16})/],
  ['a private key of an age identity', /AGE-SECRET-KEY-1[0-9A-Z]{50}/],
  ['an access key of AWS', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ['a token of GitHub', /\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})/],
  ['a token of GitLab', /\bglpat-[A-Za-z0-9_-]{20,}/],
  ['a token of npm', /\bnpm_[A-Za-z0-9]{36}\b/],
  ['a token of Docker Hub', /\bdckr_pat_[A-Za-z0-9_-]{20,}/],
  ['a token of Slack', /\bxox[abprs]-[A-Za-z0-9-]{20,}/],
  ['a webhook of Slack', /hooks\.slack\.com\/services\/T[A-Z0-9]{8,}\/B[A-Z0-9]{8,}\/[A-Za-z0-9]{20,}/],
  ['a key of Google', /\bAIza[0-9A-Za-z_-]{35}\b/],
  ['a key of Stripe', /\b[rs]k_live_[0-9A-Za-z]{20,}/],
  ['a JWT', /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}/],
  [
    'a password in a URL',
    /\b[a-z][a-z0-9+]{2,12}:\/\/[^\s/:@'"`<>$]*:(?!pass|secret|\*|\$)[^\s/@'"`<>$]{8,}@/i,
  ],
  [
    'something random that is called a secret',
    /(?:password|passwd|secret|token|api_?key|private_?key)["']?\s*[:=]\s*["'`](?=[^"'`]*\d)(?=[^"'`]*[A-Z])(?=[^"'`]*[a-z])[A-Za-z0-9+/_=-]{32,}["'`]/i,
  ],
]

/** What a line of text seems to hold that should be in no repository and no log. */
export function findSecrets(line: string): string[] {
  return patterns.filter(([, pattern]) => pattern.test(line)).map(([what]) => what)
}
