import type { CredentialKind } from './kind.ts';
import { componentAccessToken } from './component-access-token.ts';
import { preAuthCode } from './pre-auth-code.ts';

/** Every kind, in the order in which they build on each other. */
export const CREDENTIAL_KINDS: readonly CredentialKind[] = [componentAccessToken, preAuthCode];
