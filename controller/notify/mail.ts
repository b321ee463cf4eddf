import { createTransport } from 'nodemailer'
import { noticeText, type Notice } from './notice.decide.ts'
import type { MailSpec } from './notify-schema.ts'

const timeoutMs = 10_000

/** @param server smtp:// or smtps://, with a password where it wants one */
export async function sendMail(
  { mail, from }: Pick<MailSpec, 'mail' | 'from'>,
  server: string,
  notice: Notice,
  id: string,
): Promise<void> {
  const url = new URL(server)
  const password = decodeURIComponent(url.password)
  const transport = createTransport({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (url.protocol === 'smtps:' ? 465 : 587),
    secure: url.protocol === 'smtps:',
    ...(url.username !== '' && { auth: { user: decodeURIComponent(url.username), pass: password } }),
    // A password goes over TLS or not at all.
    requireTLS: url.username !== '' && url.protocol === 'smtp:',
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const { head, text } = noticeText(notice)
  try {
    await transport.sendMail({
      from,
      to: [...mail],
      subject: `deployctl: ${head}`,
      text,
      messageId: `<${id}@${from.split('@')[1] ?? 'localhost'}>`,
    })
  } finally {
    transport.close()
  }
}
