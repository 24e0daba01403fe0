import type { ApiKey } from '../../config/api-keys.ts';
import type { ReportContext } from '../../credentials/report-invalid.ts';
import type { Log } from '../../lib/log.ts';
import type { TicketsContext } from '../../tickets/request-push.ts';
import type { SnapshotContext } from '../../status/context.ts';
import type { EndedSessions } from '../../store/operations/ended-sessions.ts';
import type { SessionSecret } from '../../store/operations/session-secret.ts';
import type { Audit } from '../internal/audit.ts';
import type { DeliveriesOptions } from '../internal/handlers/deliveries.ts';
import type { AuthorizersOptions } from '../internal/handlers/authorizers.ts';

/** What the dashboard shows, and what can be done from it. */
export interface DashboardOptions {
  /** Who may log in: keys with `status:read` or `admin`. */
  apiKeys: readonly ApiKey[];
  status: SnapshotContext;
  /** For "refresh now", and for what is remembered while Redis is away. */
  reading: ReportContext;
  authorizers: AuthorizersOptions;
  operations: TicketsContext;
  deliveries: DeliveriesOptions;
  sessionSecret: SessionSecret;
  endedSessions: EndedSessions;
  audit: Audit;
  log: Log;
}
