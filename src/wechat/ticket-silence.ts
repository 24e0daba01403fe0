/** When a ticket that stays away is worth a word: WeChat pushes one every ten minutes. Milliseconds. */

/** Two pushes and a half without a ticket: worth knowing, nothing is down yet. */
export const SILENT_AFTER_MS = 25 * 60_000;
/** By then asking WeChat for pushes has not helped either. */
export const SILENT_LONG_AFTER_MS = 60 * 60_000;
