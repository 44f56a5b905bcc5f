/**
 * Stands in for the libraries of cipher suites that Kith does not speak. The MLS library imports them lazily; nothing
 * here ever calls for them, and an attempt must fail rather than quietly use another suite.
 */
const absent = (): never => {
  throw new Error('this cipher suite is not part of Kith');
};

export const ed25519 = absent;
export const ed448 = absent;
export const p256 = absent;
export const p384 = absent;
export const p521 = absent;
export const ml_dsa87 = absent;
export const chacha20poly1305 = absent;
export const Chacha20Poly1305 = absent;
export const gcm = absent;
export const XWing = absent;
export const MlKem512 = absent;
export const MlKem768 = absent;
export const MlKem1024 = absent;
export const DhkemX448HkdfSha512 = absent;
