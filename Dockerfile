# A tag can be moved. To build from the same image for ever, put `@sha256:` and the digest behind the tag
# in both lines FROM: docker image inspect --format '{{index .RepoDigests 0}}' node:22.23.3-bookworm-slim
ARG NODE_VERSION=22.23.3

FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /app
# The packages before the sources: they change seldom, and Docker keeps this layer.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build
# Files keep the modes of the checkout, and another user than their owner has to read them.
RUN npm prune --omit=dev --ignore-scripts && chmod -R a+rX package.json dist node_modules

FROM node:${NODE_VERSION}-bookworm-slim
ENV NODE_ENV=production
# SIGUSR1 would open Node's debugger. The service ignores it, but only once its first line has run.
ENV NODE_OPTIONS=--disable-sigusr1
WORKDIR /app
# All of it belongs to root: the service cannot change its own code, and writes no file at all.
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# "node" in this image, by number so that an orchestrator can see that it is not root.
USER 1000:1000
EXPOSE 3000 3001
STOPSIGNAL SIGTERM
# On the internal listener: a flood on the public one must not get the container restarted.
# /livez and not /readyz: starting this container again does not mend a Redis that is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.INTERNAL_PORT || 3001}/livez`, { signal: AbortSignal.timeout(2500) }).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Without a shell in between node is process 1 and gets SIGTERM itself. It starts no processes, so
# there are none to reap and no init is needed.
# In place of `start`: doctor, keys and the other commands of `wxkeeper --help`.
CMD ["node", "dist/commands/wxkeeper.js", "start"]
