/* Standard input, output and error that wait. */
#ifndef CLI_STREAMS_H
#define CLI_STREAMS_H

/* Replace stdin, stdout and stderr by streams that wait, if the descriptor does not block. First
 * thing in a program; without memory for it, they stay as they are. */
void streams_make_wait(void);

#endif
