import { html as honoHtml, raw } from 'hono/html'

/** A piece of HTML; what is put into it by `${}` is escaped unless it is such a piece itself. */
export type Html = Awaited<ReturnType<typeof honoHtml>> | Promise<Awaited<ReturnType<typeof honoHtml>>>

export const html = honoHtml

/** Marks text as HTML already. For constants of our own, and for what was sanitised: a test lists who may import it. */
export const trustedHtml = raw
