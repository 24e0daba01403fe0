import { hash } from 'node:crypto';

/** It looks like a refresh token, and opens nothing. */
const HANDLE = 'refreshtoken@@@wxkeeper-';

/**
 * What stands for the refresh token of an account wherever an application needs one. The real one never
 * leaves; this is the same at each replica, and as long as the account is the same.
 */
export function handleOf(component: string, authorizer: string): string {
  return HANDLE + hash('sha256', `${component}:${authorizer}`).slice(0, 32);
}
