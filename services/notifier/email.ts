/**
 * Mail by SMTP: text and HTML, the chart inside, later mails in the thread of the first.
 *
 * Message-IDs are made from incident and revision, so a repetition could be recognised. SMTP cannot be asked what became of a mail:
 * once the message was on its way, a lost connection means `unconfirmed`, and it is not sent again.
 */
import { createTransport, type SentMessageInfo } from 'nodemailer';
import type { Channel, Outgoing, SendResult } from './channel.ts';
import { CHART_CID, htmlBody, subjectOf, textBody } from './email-body.ts';

export interface EmailOptions {
  /** smtp://USER:PASSWORD@HOST:PORT or smtps://…; nodemailer's options may follow as a query (`?tls.rejectUnauthorized=false`). */
  readonly smtpUrl: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;

/** `Leakline <alerts@example.org>` → `example.org` */
function domainOf(address: string): string {
  const domain = /@([\w.-]+)>?\s*$/.exec(address)?.[1];
  return domain === undefined || domain === '' ? 'leakline.invalid' : domain.toLowerCase();
}

export const messageId = (incident: string, revision: string, domain: string): string =>
  `<leakline.${incident}.${revision.replace(/[^\w-]/g, '.')}@${domain}>`;

/** A password goes over the wire encrypted or not at all, unless the server is this machine. */
export function needsTls(smtpUrl: string): boolean {
  const url = new URL(smtpUrl);
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  return url.protocol === 'smtp:' && url.username !== '' && !isLocal && !url.searchParams.has('ignoreTLS');
}

interface SmtpError extends Error {
  readonly code?: string;
  readonly command?: string;
  readonly responseCode?: number;
}

const MEND: Record<string, string> = {
  EAUTH: 'the mail server does not accept user and password in notify.smtpUrl',
  ETLS: 'TLS with the mail server fails; smtps:// is TLS from the start, smtp:// is STARTTLS',
  EDNS: 'the host in notify.smtpUrl is not known',
  EENVELOPE: 'the mail server does not accept notify.emailFrom or notify.emailTo',
};

/** `isOnItsWay`: the message had been handed to the connection. */
export function smtpResult(error: SmtpError, isOnItsWay: boolean): SendResult {
  const { code = '', responseCode } = error;
  const what = responseCode === undefined ? code || error.name : `${responseCode}`;
  const text = `mail server: ${what}${MEND[code] === undefined ? '' : `: ${MEND[code]}`}`;
  if (responseCode !== undefined && responseCode >= 400) return { outcome: responseCode >= 500 ? 'refused' : 'retry', error: text };
  if (code === 'EAUTH') return { outcome: 'refused', error: text };
  return { outcome: isOnItsWay ? 'unconfirmed' : 'retry', error: text };
}

export function createEmail(options: EmailOptions): Channel {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const domain = domainOf(options.from);

  const compose = async (outgoing: Outgoing) => {
    const { message, rootRevision, external } = outgoing;
    const png = await outgoing.chart();
    const root = rootRevision === null ? undefined : messageId(message.incident, rootRevision, domain);
    const subject = external['subject'] ?? subjectOf(message);
    return {
      subject,
      mail: {
        from: options.from,
        to: [...options.to],
        subject: root === undefined ? subject : `Re: ${subject}`,
        text: textBody(message),
        html: htmlBody(message, png !== undefined),
        messageId: messageId(message.incident, outgoing.revision, domain),
        ...(root === undefined ? {} : { inReplyTo: root, references: root }),
        date: new Date(message.at),
        headers: {
          'Auto-Submitted': 'auto-generated',
          'X-Auto-Response-Suppress': 'All',
          'List-Id': `Leakline alerts <alerts.leakline.${domain}>`,
          'X-Leakline-Incident': message.incident,
          'X-Leakline-Change': message.change,
        },
        attachments: png === undefined ? [] : [{ cid: CHART_CID, filename: 'memory.png', content: png, contentType: 'image/png' }],
      },
    };
  };

  const send = async (outgoing: Outgoing, signal: AbortSignal): Promise<SendResult> => {
    const { subject, mail } = await compose(outgoing);
    const external = { ...outgoing.external, subject };
    // Recorded before sending: should the result get lost, the next mail still finds its thread.
    if (outgoing.external['subject'] === undefined) await outgoing.progress(external);
    let isOnItsWay = false;
    const transport = createTransport({
      url: options.smtpUrl,
      requireTLS: needsTls(options.smtpUrl),
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      dnsTimeout: timeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    // The body is read after the log-in, right before MAIL FROM.
    transport.use('stream', ({ message }, done) => {
      message.processFunc((input) => {
        isOnItsWay = true;
        return input;
      });
      done();
    });
    try {
      const info: SentMessageInfo = await transport.sendMail({ ...mail, signal });
      return { outcome: 'sent', external: rejectedOf(info) === 0 ? external : { ...external, rejected: String(rejectedOf(info)) } };
    } catch (error) {
      const result = smtpResult(error as SmtpError, isOnItsWay);
      return result.outcome === 'unconfirmed' ? { ...result, external } : result;
    } finally {
      transport.close();
    }
  };

  return { name: 'email', cadence: 'milestones', refreshes: false, canAsk: false, send };
}

const rejectedOf = ({ rejected }: SentMessageInfo): number => (rejected as unknown[] | undefined)?.length ?? 0;
