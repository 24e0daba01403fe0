/** What is wrong with the settings. Neither says a value. */

export interface ConfigFault {
  /** Its variable; undefined for what several settings have wrong together. */
  setting: string | undefined;
  text: string;
}

/** Every fault there is, at once. */
export class ConfigError extends Error {
  readonly faults: readonly ConfigFault[];
  /** The same as people read them. */
  readonly sentences: readonly string[];

  constructor(faults: readonly ConfigFault[]) {
    const sentences = faults.map(({ setting, text }) =>
      setting === undefined ? text : `${setting} ${text}`,
    );
    super(
      `${faults.length} setting(s) are wrong:\n${sentences.map((one) => `  - ${one}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
    this.sentences = sentences;
  }
}
