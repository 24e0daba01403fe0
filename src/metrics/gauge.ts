import type { CredentialStatus, StatusSnapshot } from '../status/schema.ts';

/** One metric that is read from the status at the moment it is asked for. */
export interface Family {
  name: string;
  /** A gauge unless it says otherwise. */
  type?: 'counter';
  help: string;
  labels: readonly string[];
  samples: (status: StatusSnapshot) => readonly Sample[];
}

export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

export type ComponentStatus = StatusSnapshot['components'][number];

/** A sample where there is something to say, or none. */
export function sample(
  value: number | null | undefined,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  return value === null || value === undefined ? [] : [{ labels, value }];
}

/** Seconds since the epoch, as Prometheus wants its times. */
export function timestamp(iso: string | null | undefined): number | null {
  return iso === null || iso === undefined ? null : Date.parse(iso) / 1000;
}

/** A metric of each component. */
export function ofComponents(
  name: string,
  help: string,
  read: (component: ComponentStatus) => number | null,
): Family {
  return {
    name,
    help,
    labels: ['appid'],
    samples: ({ components }) =>
      components.flatMap((one) => sample(read(one), { appid: one.appid })),
  };
}

/** A metric of each credential of the configured components and accounts, never of authorizers. */
export function ofCredentials(
  name: string,
  help: string,
  read: (credential: CredentialStatus) => number | null,
): Family {
  return {
    name,
    help,
    labels: ['appid', 'kind'],
    samples: (status) =>
      credentialsOf(status).flatMap(({ appid, one }) =>
        sample(read(one), { appid, kind: one.kind }),
      ),
  };
}

export function credentialsOf({ components, accounts }: StatusSnapshot) {
  return [...components, ...accounts].flatMap(({ appid, credentials }) =>
    credentials.map((one) => ({ appid, one })),
  );
}
