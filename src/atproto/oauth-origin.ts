/** Where logins begin and end for a program with this public URL; see `OAuthClient.origin`. */
export function oauthOrigin(publicUrl: URL): string {
  if (publicUrl.protocol !== 'http:' || publicUrl.hostname === '[::1]') return publicUrl.origin
  const { port } = publicUrl
  return `http://127.0.0.1${port === '' ? '' : `:${port}`}`
}
