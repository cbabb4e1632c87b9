/** A real SMTP server on loopback: STARTTLS, AUTH, and the faults mail servers have. Mails are parsed as a client would. */
import type { AddressInfo } from 'node:net';
import { simpleParser, type ParsedMail } from 'mailparser';
import { SMTPServer } from 'smtp-server';

export interface ReceivedMail {
  readonly mail: ParsedMail;
  readonly from: string;
  readonly to: readonly string[];
  readonly user: string | undefined;
  readonly isEncrypted: boolean;
}

export interface MailServerOptions {
  readonly user?: string;
  readonly password?: string;
  /** Refuse mail before STARTTLS. */
  readonly requireTls?: boolean;
}

export interface MailFault {
  readonly at: 'MAIL' | 'RCPT' | 'DATA' | 'AUTH';
  /** A reply code; 0 = close the connection; −1 = take the mail, then close without an answer. */
  readonly code: number;
  times?: number;
}

export interface MailServer {
  readonly port: number;
  /** smtp://… with user and password where some are set. The certificate is the library's own, signed by nobody. */
  readonly url: string;
  readonly mails: ReceivedMail[];
  readonly faults: MailFault[];
  nextMail(): Promise<ReceivedMail>;
  close(): Promise<void>;
}

export async function startMailServer(options: MailServerOptions = {}): Promise<MailServer> {
  const { user, password } = options;
  const mails: ReceivedMail[] = [];
  const faults: MailFault[] = [];
  const waiting: ((mail: ReceivedMail) => void)[] = [];

  const fault = (at: MailFault['at']): MailFault | undefined => {
    const found = faults.find((one) => one.at === at && (one.times ?? 1) > 0);
    if (found !== undefined) found.times = (found.times ?? 1) - 1;
    return found;
  };
  const refusal = (found: MailFault): Error =>
    Object.assign(new Error(`refused by the test (${found.code})`), { responseCode: found.code });

  const server: SMTPServer = new SMTPServer({
    authOptional: user === undefined,
    disabledCommands: user === undefined ? ['AUTH'] : [],
    hideSTARTTLS: false,
    logger: false,
    closeTimeout: 200,
    onAuth: (auth, _session, callback) => {
      const found = fault('AUTH');
      if (found !== undefined) callback(refusal(found));
      else if (auth.username === user && auth.password === password) callback(null, { user: auth.username ?? '' });
      else callback(Object.assign(new Error('Invalid username or password'), { responseCode: 535 }));
    },
    onMailFrom: (_address, session, callback) => {
      const found = fault('MAIL');
      if (found !== undefined) callback(refusal(found));
      else if (options.requireTls === true && !session.secure)
        callback(Object.assign(new Error('Must issue STARTTLS first'), { responseCode: 530 }));
      else callback();
    },
    onRcptTo: (_address, _session, callback) => {
      const found = fault('RCPT');
      callback(found === undefined ? null : refusal(found));
    },
    onData: (stream, session, callback) => {
      const found = fault('DATA');
      const { mailFrom, rcptTo } = session.envelope;
      void simpleParser(stream).then((mail) => {
        if (found !== undefined && found.code > 0) return callback(refusal(found));
        if (found?.code !== 0) {
          const received: ReceivedMail = {
            mail,
            from: mailFrom === false ? '' : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            user: typeof session.user === 'string' ? session.user : undefined,
            isEncrypted: session.secure,
          };
          mails.push(received);
          for (const resolve of waiting.splice(0)) resolve(received);
        }
        if (found === undefined) return callback();
        for (const connection of server.connections as unknown as Set<{ _socket: { destroy(): void } }>) connection._socket.destroy();
      });
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const credentials = user === undefined ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}@`;
  return {
    port,
    url: `smtp://${credentials}127.0.0.1:${port}?tls.rejectUnauthorized=false`,
    mails,
    faults,
    nextMail: () => new Promise((resolve) => waiting.push(resolve)),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
