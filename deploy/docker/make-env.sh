#!/bin/sh
# Writes .env from .env.example, with a new random value for each that is empty there. A .env that
# exists is left alone: its passwords are in the volumes.
set -eu
cd "$(dirname "$0")/../.."

if [ -e .env ]; then
    echo ".env exists; remove it, and the volumes whose passwords it holds, to begin anew" >&2
    exit 1
fi

random() {
    od -A n -t x1 -N "$1" /dev/urandom | tr -d ' \n'
}
# A UUID as Kafka writes it, never with a dash in front.
cluster_id() {
    head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' | sed 's/^-/A/'
}

umask 077
while IFS= read -r line; do
    case $line in
    KAFKA_CLUSTER_ID=) echo "$line$(cluster_id)" ;;
    [A-Z]*=) echo "$line$(random 24)" ;;
    *) echo "$line" ;;
    esac
done <.env.example >.env.new
mv .env.new .env
echo "wrote .env"
