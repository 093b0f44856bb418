/* What every part does. */
static int mix(int n, int part)
{
	unsigned int value = n * 2654435761u + part;
	return value >> 7 ^ value;
}
