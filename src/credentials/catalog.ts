import type { CredentialId } from '../store/redis/keys.ts';
import type { Account, CommonKind, Component, CredentialKind } from './kinds/kind.ts';
import { CREDENTIAL_KINDS } from './kinds/index.ts';
import type { Target } from './refresh-types.ts';

/** Whose credentials we keep: which kinds exist for whom, and what a kind needs to know about them. */
export interface Catalog {
  components: readonly Component[];
  accounts: readonly Account[];
}

/** What is needed to look at this credential; undefined when we do not keep it. */
export function targetOf(subjects: Catalog, id: CredentialId): Target | undefined {
  return keptIn(subjects, id)?.target();
}

/** The kind of this credential, when we keep it: readers ask at each request, and need no more. */
export function kindOf(subjects: Catalog, id: CredentialId): CredentialKind | undefined {
  return keptIn(subjects, id)?.kind;
}

interface Kept {
  kind: CredentialKind;
  target: () => Target;
}

function keptIn(subjects: Catalog, id: CredentialId): Kept | undefined {
  const kind = CREDENTIAL_KINDS.find((one) => one.name === id.kind);
  switch (kind?.of) {
    case undefined:
      return undefined;
    case 'component': {
      const component = subjects.components.find((one) => one.appid === id.subject);
      return component && { kind, target: () => bind(kind, component, id) };
    }
    case 'account': {
      const account = subjects.accounts.find((one) => one.appid === id.subject);
      if (account === undefined || !kind.wanted(account)) return undefined;
      return { kind, target: () => bind(kind, account, id) };
    }
    case 'authorizer': {
      const [appid, authorizer, ...rest] = id.subject.split(':');
      const component = subjects.components.find((one) => one.appid === appid);
      if (component === undefined || authorizer === undefined || rest.length > 0) return undefined;
      const owner = { component: component.appid, authorizer };
      return { kind, target: () => bind(kind, owner, id, component.appid) };
    }
  }
}

/** Every credential that the configuration names, in the order in which they build on each other. */
export function configuredIds({ components, accounts }: Catalog): CredentialId[] {
  return CREDENTIAL_KINDS.flatMap((kind) => {
    switch (kind.of) {
      case 'component':
        return components.map(({ appid }) => ({ kind: kind.name, subject: appid }));
      case 'account':
        return accounts
          .filter((account) => kind.wanted(account))
          .map(({ appid }) => ({ kind: kind.name, subject: appid }));
      case 'authorizer':
        return [];
    }
  });
}

/** The kinds that are minted with this credential and belong to the same subject. */
export function dependentsOf(subjects: Catalog, id: CredentialId): CredentialId[] {
  return CREDENTIAL_KINDS.filter((kind) => kind.needs === id.kind && kind.of !== 'authorizer')
    .map((kind) => ({ kind: kind.name, subject: id.subject }))
    .filter((dependent) => targetOf(subjects, dependent) !== undefined);
}

function bind<Owner>(
  kind: CredentialKind & CommonKind<Owner>,
  owner: Owner,
  id: CredentialId,
  parentSubject = id.subject,
): Target {
  return {
    id,
    kind,
    budget: kind.budget(owner),
    parent: kind.needs === undefined ? undefined : { kind: kind.needs, subject: parentSubject },
    prepare: (context) => kind.prepare(context, owner),
    afterRefusal: async (context, error) => kind.afterRefusal?.(context, error, owner),
  };
}
