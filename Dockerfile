# quicgate: the gateway, the forwarder and the tools in one image; the command chooses.
#
#   docker build -t quicgate .
#   docker run -p 4433:4433/udp -v "$PWD/my-config:/etc/quicgate:ro" quicgate
#
# Inside a container a server has to listen on 0.0.0.0, not on loopback: published ports lead to the container's
# own address. docker-compose.yml shows all parts together.

# The whole image, unlike the slim one, has what it takes to build the native packet engine.
FROM node:22 AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY binding.gyp ./
COPY native ./native
COPY scripts ./scripts
RUN npm run build:native
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts

FROM node:22-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/build/Release/quicgate.node ./build/Release/
# /certificates and /var/lib/quicgate are where volumes go; a new volume takes over the owner set here.
RUN chmod +x dist/cli/main.js \
 && mkdir -p /usr/local/bin /etc/quicgate /certificates /var/lib/quicgate \
 && ln -s /app/dist/cli/main.js /usr/local/bin/quicgate \
 && chown node:node /certificates /var/lib/quicgate
USER node
EXPOSE 4433/udp 8080/tcp

# A real request over QUIC. Any HTTP answer is healthy: an upstream that fails is no reason to restart the gateway.
HEALTHCHECK --interval=15s --timeout=10s --start-period=10s --retries=3 \
  CMD quicgate fetch --json --insecure --method HEAD --timeout 5s "${QUICGATE_HEALTH_URL:-https://127.0.0.1:4433/}" \
    | grep -q '"status":[1-5]'

ENTRYPOINT ["quicgate"]
CMD ["gateway", "--config", "/etc/quicgate/gateway.yaml"]
