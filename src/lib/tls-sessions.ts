import tls, { type SecureContext, type TLSSocket } from 'node:tls';
import type { Clock } from './clock.ts';

/**
 * What servers hand out so that the next connection need not begin with certificates: the handshake
 * is most of what a call to WeChat costs this process. A session is only used for the host and port
 * that it came from, because a resumed connection shows no certificate: it vouches for the one that
 * was verified when the session began. Early data is never sent, so nothing is on its way before a
 * connection is ready, just as without a session.
 */
export interface TlsSessions {
  /**
   * What the next connection to this `host:port` begins with. It must be watched, and have been verified
   * under exactly this host.
   */
  offer(host: string): Offer;
  /** Keeps what this connection brings, and forgets what has led to a broken one. */
  watch(host: string, socket: TLSSocket, offer: Offer): void;
}

export interface Offer {
  /** Who is trusted. Making one for each connection would cost a third of what resuming saves. */
  secureContext: SecureContext;
  /** None: the server shows its certificate, and it is verified. */
  session: Buffer | undefined;
  /** When that was, of the clock's monotonic time. */
  verifiedAt: number;
}

/**
 * Milliseconds for which a verified certificate is relied on, however often the session is renewed in
 * the meantime: one that has expired or is no longer trusted must be noticed.
 */
const VERIFIED_FOR_MS = 10 * 60 * 1000;

/** One session for each host; the hosts are those of the settings. */
export function createTlsSessions(clock: Clock): TlsSessions {
  const kept = new Map<string, Offer>();
  return {
    offer(host) {
      const now = clock.monotonic();
      const known = kept.get(host);
      if (known !== undefined && now - known.verifiedAt < VERIFIED_FOR_MS) return known;
      kept.delete(host);
      return { secureContext: tls.createSecureContext(), session: undefined, verifiedAt: now };
    },
    watch(host, socket, offer) {
      // Said only of connections that were verified, or resumed what had been.
      socket.on('session', (session) => {
        const { secureContext } = offer;
        const verifiedAt = socket.isSessionReused() ? offer.verifiedAt : clock.monotonic();
        kept.set(host, { secureContext, session, verifiedAt });
      });
      socket.once('error', () => kept.delete(host));
    },
  };
}
