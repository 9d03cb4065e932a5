#!/bin/sh
# Makes a certificate authority and certificates of a gateway and an agent, to try gateway.yaml and agent.yaml out.
# They are valid for thirty days. An organisation that has an authority of its own lets that one sign instead.
#
#   sh collector-config/certificates.sh FOLDER [NAME ...]   # further DNS names of the gateway, beside localhost
#
# It needs openssl 3. Then, for both: USAGETRACE_AGENT_TLS=FOLDER and USAGETRACE_GATEWAY_TLS=FOLDER .
set -eu
folder=${1:?"which folder? sh certificates.sh FOLDER [NAME ...]"}
shift
names="DNS:localhost,IP:127.0.0.1"
for name in "$@"; do
    names="$names,DNS:$name"
done
umask 077
mkdir -p "$folder"
cd "$folder"
make_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
# shellcheck disable=SC2086 # these are several arguments
openssl req -x509 $make_key -subj "/CN=usagetrace trial authority" \
    -addext "keyUsage=critical,keyCertSign" -keyout ca.key -out ca.crt 2>/dev/null
# shellcheck disable=SC2086
openssl req -x509 $make_key -CA ca.crt -CAkey ca.key -subj "/CN=usagetrace gateway" -addext "subjectAltName=$names" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "extendedKeyUsage=serverAuth" \
    -keyout gateway.key -out gateway.crt 2>/dev/null
# shellcheck disable=SC2086
openssl req -x509 $make_key -CA ca.crt -CAkey ca.key -subj "/CN=usagetrace agent" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "extendedKeyUsage=clientAuth" \
    -keyout agent.key -out agent.crt 2>/dev/null
echo "certificates are in $folder"
