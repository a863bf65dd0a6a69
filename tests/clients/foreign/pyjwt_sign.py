"""Tokens by PyJWT: the claims of each line of stdin, {"alg", "kid", "claims"}, signed by a key of that algorithm and id.

The first line of stdout is the set of public keys that belong to them; then comes a token for each line.
"""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

wanted = [json.loads(line) for line in sys.stdin]
keys, public = {}, []
for each in wanted:
    alg, kid = each["alg"], each["kid"]
    if (alg, kid) in keys:
        continue
    is_rsa = alg == "RS256"
    key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
    keys[alg, kid] = key
    jwk = json.loads((RSAAlgorithm if is_rsa else ECAlgorithm).to_jwk(key.public_key()))
    public.append({**jwk, "kid": kid, "alg": alg, "use": "sig"})
print(json.dumps({"keys": public}))
for each in wanted:
    print(jwt.encode(each["claims"], keys[each["alg"], each["kid"]], algorithm=each["alg"], headers={"kid": each["kid"]}))
