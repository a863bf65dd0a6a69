// Version 2 of the protocol over one WebSocket.

import { after } from './backoff.js';
import { SteleError } from './types.js';
import { decoder, errorOf, errorOfClose } from './wire.js';
import type { OpenTransport } from './transport.js';

/** So long a server may take for the handshake, and for a sign of life. */
const ANSWER_MS = 10_000;
const SILENCE_MS = 25_000;
/** No subscription has this id, and the server says so: a sign of life. */
const PROBE = 'probe';

export const socketTransport =
  (WebSocketClass: any): OpenTransport =>
  (base, token, listener) => {
    const url = new URL(base);
    if (token !== undefined) url.searchParams.set('auth', 'message');
    const socket = new WebSocketClass(url.href);
    let timer: ReturnType<typeof setTimeout> | undefined;
    let fatal: SteleError | undefined;
    let isOver = false;

    const send = (message: object): void => socket.send(JSON.stringify(message));
    const about = (type: string, subscriptionId: string, query?: object): void => send({ type, protocolVersion: 2, subscriptionId, query });
    const wait = (ms: number, act: () => void): void => {
      clearTimeout(timer);
      if (!isOver) timer = after(ms, act);
    };
    const end = (error: SteleError): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      socket.close();
      listener.closed(error);
    };
    const late = (): void => end(new SteleError('connection-timeout', 'the server does not answer'));
    const probe = (ms = ANSWER_MS): void => {
      about('unsubscribe', PROBE);
      wait(ms, late);
    };
    const push = decoder((frame) => {
      if (isOver || frame.subscriptionId === PROBE) return;
      if (frame.fatal) fatal = errorOf(frame);
      listener.frame(frame);
    }, end);

    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      if (isOver) return socket.close();
      if (token !== undefined) send({ type: 'auth', token });
      wait(SILENCE_MS, probe);
      listener.opened();
    };
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      wait(SILENCE_MS, probe);
      push(data);
    };
    socket.onerror = () => {}; /* close follows, and says as much */
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      end(fatal ?? errorOfClose(code, reason));
    };
    wait(ANSWER_MS, late);

    return {
      subscribe: (id, query) => about('subscribe', id, query),
      unsubscribe: (id) => about('unsubscribe', id),
      refresh: (token) => send({ type: 'refresh_auth', token }),
      probe,
      close() {
        isOver = true;
        clearTimeout(timer);
        socket.close();
      },
    };
  };
