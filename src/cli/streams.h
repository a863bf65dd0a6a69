/* Standard input, output and error that wait. */
#ifndef CLI_STREAMS_H
#define CLI_STREAMS_H

/* Put streams in place of stdin, stdout and stderr that wait where the descriptor is not blocking.
 * First thing in a program; where there is no memory for it, they stay as they are. */
void streams_make_wait(void);

#endif
