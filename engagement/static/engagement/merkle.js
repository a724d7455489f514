// The tree of RFC 9162, from a leaf up: stubs, rolls and the ledger are proved by it.

const sha256 = async (prefix, ...parts) => {
  const bytes = new Uint8Array(1 + parts.reduce((sum, part) => sum + part.length, 0));
  bytes[0] = prefix;
  let at = 1;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
};

/** The hash of a leaf (RFC 9162 2.1.1). */
export const leafHash = (data) => sha256(0, data);

/** The root that a proof of 32-byte hashes leads to (RFC 9162 2.1.3.2); null where it leads nowhere. */
export async function rootFrom(leaf, index, size, siblings) {
  const inside = Number.isSafeInteger(size) && Number.isSafeInteger(index) && index >= 0 && index < size;
  if (!inside || [leaf, ...siblings].some((hash) => hash.length !== 32)) return null;
  let [fn, sn, hash] = [index, size - 1, leaf];
  for (const sibling of siblings) {
    if (sn === 0) return null;
    if (fn % 2 === 1 || fn === sn) {
      hash = await sha256(1, sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      hash = await sha256(1, hash, sibling);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return sn === 0 ? hash : null;
}
