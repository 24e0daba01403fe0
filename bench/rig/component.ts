/** The platform that all benches speak of. */
export const COMPONENT = {
  appid: 'wx0123456789abcdef',
  secret: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  token: 'benchToken',
  encodingAesKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};

export function authorizerAppid(index: number): string {
  return `wx${String(index).padStart(16, '0')}`;
}
