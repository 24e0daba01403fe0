import type { ComponentOptions } from '../wechat/options.ts';

/**
 * The third-party platform of the demo: make-believe secrets that open nothing anywhere. They are
 * treated like real ones all the same, and never printed.
 */
export const DEMO_COMPONENT = {
  appid: 'wxdecade0fca11ab1e',
  secret: 'd3m0d3m05ec2e7d3m0d3m05ec2e7d3m0',
  token: 'demoCallbackToken',
  encodingAesKey: 'DemoKeyThatOpensNothingAtAllInTheRealWorld0',
} as const satisfies ComponentOptions;
