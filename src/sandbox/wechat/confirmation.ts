/** What a merchant's confirmation brings the component, for the next ones. */
export interface Confirmation {
  /** Whether the event is pushed. Default `push`. */
  event: 'push' | 'lost';
  /** Whether the browser comes back to the redirect_uri. Default `send`. */
  redirect: 'send' | 'lost';
  /** Redirect and event carry different codes. Default false. */
  twoCodes: boolean;
}

export const CONFIRMATION: Confirmation = { event: 'push', redirect: 'send', twoCodes: false };
